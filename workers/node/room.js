'use strict';
/** How much memory is left until the kernel begins to kill: room.py has the same. */

const fs = require('node:fs');

const GROUPS = '/sys/fs/cgroup';
const FILES = [
  ['memory.max', 'memory.current', 'memory.stat', 'inactive_file'],
  ['memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes', 'memory/memory.stat', 'total_inactive_file'],
];

/** @param {string} text @param {string} name */
const number = (text, name) => Number(text.match(new RegExp(`^${name}:?\\s+(\\d+)`, 'm'))?.[1] ?? 0);

/** The bytes that this container may still take. */
function room() {
  let free = number(fs.readFileSync('/proc/meminfo', 'utf8'), 'MemAvailable') * 1024;
  for (const names of FILES) {
    try {
      const [limit, used, statistics] = names.slice(0, 3).map((name) => fs.readFileSync(`${GROUPS}/${name}`, 'utf8'));
      const left = Number(limit) - Number(used) + number(statistics, names[3]);
      if (!Number.isNaN(left)) free = Math.min(free, left); // the limit may be the word `max`
    } catch {
      // the other version of control groups
    }
  }
  return Math.max(0, free);
}

module.exports = { room };
