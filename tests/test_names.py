"""Usernames, the keys they are compared by, and email addresses."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd import names
from chatd.errors import Invalid

usernames = st.text(st.characters(categories=["L", "N", "M"]) | st.sampled_from("_.-"), min_size=3, max_size=32)


@given(st.text())
def test_the_key_of_a_key_is_itself(name: str) -> None:
    assert names.key(names.key(name)) == names.key(name)


@given(st.text(string.ascii_letters))
def test_a_key_does_not_know_upper_from_lower_case(name: str) -> None:
    assert names.key(name.upper()) == names.key(name.lower())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada", "ada"),
        ("STRASSE", "straße"),
        ("Ａｄａ", "ada"),
        ("ﬁona", "fiona"),
        ("re\u0301mi", "rémi"),
        ("ΣΑΣ", "σας"),
    ],
)
def test_names_that_look_alike_have_one_key(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)


@pytest.mark.parametrize(("one", "other"), [("ada", "adam"), ("ada", "a.da"), ("remi", "rémi"), ("ada", "аda")])
def test_other_names_have_other_keys(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@given(usernames)
def test_a_username_is_kept_as_one_that_is_kept_again(name: str) -> None:
    try:
        kept = names.username(name)
    except Invalid:
        return
    assert names.username(kept) == kept
    assert names.key(kept) == names.key(name)


@pytest.mark.parametrize("name", ["ada", "ada_l.-1", "小明明", "नमस्ते", "Ðorđe", "٣٤٥", "x" * 32])
def test_a_username_is_letters_and_digits_of_any_script(name: str) -> None:
    assert names.username(name) == name


def test_a_username_is_kept_composed_and_in_its_own_case() -> None:
    assert names.username("Ａｄａ") == "Ada"
    assert names.username("Re\u0301mi") == "Rémi"


@pytest.mark.parametrize(
    "name", ["", "ab", "x" * 33, "a b c", "ada!", "ada\n", "\tada", "a\u200dda", "👩👩👩", "ﷺ", "\u0301ada", "a\0b"]
)
def test_any_other_username_is_refused_by_its_field(name: str) -> None:
    with pytest.raises(Invalid, match="to_user must be 3 to 32 letters or digits") as caught:
        names.username(name, field="to_user")
    assert caught.value.field == "to_user"


def test_a_username_is_asked_for_as_such() -> None:
    with pytest.raises(Invalid) as caught:
        names.username("")
    assert caught.value.field == "username"


@pytest.mark.parametrize("address", ["a@b", "ada@example.org", '"a@x"@b', "小明@例子.中国", "a+tag@[::1]"])
def test_an_address_is_something_at_something(address: str) -> None:
    assert names.email(address) == address


def test_the_space_around_an_address_is_cut_off() -> None:
    assert names.email(" ada@example.org\n") == "ada@example.org"


@pytest.mark.parametrize("address", ["", "@", "ada", "ada@", "@example.org", "a da@b", "ada@b\0", "a\u200bda@b"])
def test_what_is_no_address_is_refused_by_its_field(address: str) -> None:
    with pytest.raises(Invalid, match="email must be an email address") as caught:
        names.email(address)
    assert caught.value.field == "email"
