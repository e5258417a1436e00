'use strict';
/** What leaking.py is for Python. */

const fs = require('node:fs');
const http = require('node:http');
const { health } = require('../../../workers/node');

const kept = [];

if (fs.existsSync(process.env.BROKEN_FILE ?? '/nowhere')) throw new Error('this app cannot start any more');

http
  .createServer(async (request, response) => {
    const url = new URL(request.url, 'http://here');
    let answer = { worker: process.pid };
    if (url.pathname === '/leak') {
      kept.push(Buffer.alloc(Number(url.searchParams.get('mebibytes')) << 20, 1));
    } else if (url.pathname === '/block') {
      const end = Date.now() + Number(url.searchParams.get('seconds')) * 1000;
      while (Date.now() < end);
    } else if (url.pathname === '/health') {
      answer = await health();
    }
    const body = JSON.stringify(answer);
    response.writeHead(200, { 'Content-Length': Buffer.byteLength(body) });
    response.end(body);
  })
  .listen(Number(process.env.PORT), '127.0.0.1');
