'use strict';
/**
 * Writes a heap snapshot of a worker after its last request. V8 stops while it takes a snapshot and needs about twice
 * the heap for it, so none is taken while requests wait, and none if that much memory is not left.
 */

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const { Transform } = require('node:stream');
const { pipeline } = require('node:stream/promises');

const { availableBytes } = require('./memory');

const KEPT = 5;
const MEBIBYTE = 2 ** 20;

/** @param {string} directory @param {number} maxBytes Largest size of the file. */
async function writeHeap(directory, maxBytes) {
  const needed = 2 * v8.getHeapStatistics().used_heap_size;
  const left = availableBytes();
  if (needed > left) {
    warn(`it takes ${mebibytes(needed)} of memory, and ${mebibytes(left)} are left until the limit of the container`);
    return;
  }
  const stamp = new Date().toISOString().replace(/[-:.Z]/g, '');
  const part = path.join(directory, `${stamp}-${process.pid}.part`);
  try {
    for (const unfinished of filesEnding(directory, '.part')) fs.rmSync(unfinished);
    await pipeline(v8.getHeapSnapshot(), atMost(maxBytes), fs.createWriteStream(part));
    fs.renameSync(part, part.replace('.part', '.heapsnapshot'));
    for (const old of filesEnding(directory, '.heapsnapshot').slice(0, -KEPT)) fs.rmSync(old);
  } catch (error) {
    fs.rmSync(part, { force: true });
    warn(/** @type {Error} */ (error).message);
  }
}

/** @param {number} maxBytes @returns {Transform} A stream that fails after this many bytes. */
function atMost(maxBytes) {
  let size = 0;
  return new Transform({
    transform(chunk, _encoding, done) {
      size += chunk.length;
      if (size > maxBytes) done(new Error(`it is larger than HCA_SNAPSHOT_MAX_SIZE, ${mebibytes(maxBytes)}`));
      else done(null, chunk);
    },
  });
}

/** @param {string} directory @param {string} suffix */
const filesEnding = (directory, suffix) =>
  fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => path.join(directory, name));

const mebibytes = (/** @type {number} */ bytes) => `${Math.floor(bytes / MEBIBYTE)} MiB`;

const warn = (/** @type {string} */ reason) =>
  process.stderr.write(`hca-node: worker ${process.pid}, no heap snapshot: ${reason}\n`);

module.exports = { writeHeap };
