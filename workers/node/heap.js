'use strict';
/**
 * Writes the heap of a worker down when it has left: V8 stops for as long as it looks at its heap, and takes about
 * twice the heap for it, so it is done where no request waits, and only where that much memory is left.
 */

const fs = require('node:fs');
const path = require('node:path');
const v8 = require('node:v8');
const { Transform } = require('node:stream');
const { pipeline } = require('node:stream/promises');

const { room } = require('./room');

const KEPT = 5;
const MEBIBYTE = 2 ** 20;

/** @param {string} directory @param {number} most Bytes that it may have. */
async function writeHeap(directory, most) {
  const takes = 2 * v8.getHeapStatistics().used_heap_size;
  const left = room();
  if (takes > left) {
    refuse(`it takes ${mebibytes(takes)} of memory, and ${mebibytes(left)} are left until the limit of the container`);
    return;
  }
  const stamp = new Date().toISOString().replace(/[-:.Z]/g, '');
  const part = path.join(directory, `${stamp}-${process.pid}.part`);
  try {
    for (const brokenOff of ending(directory, '.part')) fs.rmSync(brokenOff);
    await pipeline(v8.getHeapSnapshot(), atMost(most), fs.createWriteStream(part));
    fs.renameSync(part, part.replace('.part', '.heapsnapshot'));
    for (const old of ending(directory, '.heapsnapshot').slice(0, -KEPT)) fs.rmSync(old);
  } catch (error) {
    fs.rmSync(part, { force: true });
    refuse(/** @type {Error} */ (error).message);
  }
}

/** @param {number} most */
function atMost(most) {
  let size = 0;
  return new Transform({
    transform(chunk, _encoding, done) {
      size += chunk.length;
      if (size > most) done(new Error(`it is larger than HCA_SNAPSHOT_MAX_SIZE, ${mebibytes(most)}`));
      else done(null, chunk);
    },
  });
}

/** @param {string} directory @param {string} suffix */
const ending = (directory, suffix) =>
  fs
    .readdirSync(directory)
    .filter((name) => name.endsWith(suffix))
    .sort()
    .map((name) => path.join(directory, name));

const mebibytes = (/** @type {number} */ bytes) => `${Math.floor(bytes / MEBIBYTE)} MiB`;

const refuse = (/** @type {string} */ why) =>
  process.stderr.write(`hca-node: worker ${process.pid}, no heap snapshot: ${why}\n`);

module.exports = { writeHeap };
