// Uploads a file with tus-js-client through a proxy that cuts the connection after so many bytes, again and again.
// Arguments: tus-js-client's folder, the daemon's port, a token, the file, at how many bytes to cut. It says when it is
// ready, and begins when its standard input ends.
const net = require('node:net')
const fs = require('node:fs')
const [folder, port, token, path, ...cuts] = process.argv.slice(2)
const tus = require(folder)
const content = fs.readFileSync(path)
let passed = 0

const proxy = net.createServer((client) => {
  const daemon = net.connect(Number(port), '127.0.0.1')
  client.on('data', (data) => {
    passed += data.length
    if (cuts.length && passed >= Number(cuts[0])) {
      cuts.shift()
      client.resetAndDestroy()
      daemon.resetAndDestroy()
    } else if (!daemon.write(data)) {
      client.pause()
    }
  })
  daemon.on('drain', () => client.resume())
  daemon.pipe(client)
  for (const one of [client, daemon]) one.on('error', () => { client.destroy(); daemon.destroy() })
  client.on('close', () => daemon.destroy())
})

proxy.listen(0, '127.0.0.1', () => {
  let retries = 0
  let fileId = null
  const upload = new tus.Upload(content, {
    endpoint: `http://127.0.0.1:${proxy.address().port}/files`,
    headers: { Authorization: `Bearer ${token}` },
    metadata: { filename: 'großes Bild.bin', filetype: 'application/octet-stream' },
    retryDelays: [0, 20, 50, 100, 200],
    onShouldRetry: () => { retries += 1; return true },
    onAfterResponse: (_, response) => { fileId = response.getHeader('Chatd-File-Id') ?? fileId },
    onError: (error) => { console.log(JSON.stringify({ error: String(error) })); process.exit(1) },
    onSuccess: () => { console.log(JSON.stringify({ fileId, retries, cutsLeft: cuts.length })); process.exit(0) },
  })
  console.log('ready')
  process.stdin.on('end', () => upload.start()).resume()
})
