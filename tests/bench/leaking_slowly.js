'use strict';
/** What leaking_slowly.py is for Python. */

const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');

const kept = [];

Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000);
http
  .createServer((request, response) => {
    kept.push(Buffer.alloc(2 ** 17, 1));
    response.writeHead(200, { 'Content-Length': 2 });
    response.end('ok');
  })
  .listen(Number(process.env.PORT), '127.0.0.1', () => {
    fs.writeFileSync(path.join(process.env.READY, String(process.pid)), '');
  });
