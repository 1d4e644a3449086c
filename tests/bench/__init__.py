"""How fast chatd is: the real daemon as a process of its own, a load generator, and two yardsticks beside it."""
