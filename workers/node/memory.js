'use strict';
/** Memory that a process holds, and memory that is left until the kernel begins to kill: as processes/memory.py. */

const fs = require('node:fs');

const GROUPS = '/sys/fs/cgroup';
const FILES = [
  ['memory.max', 'memory.current', 'memory.stat', 'inactive_file'],
  ['memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes', 'memory/memory.stat', 'total_inactive_file'],
];

/** @param {number} pid @returns {number | null} Resident memory, null if the process has ended. */
function residentBytes(pid) {
  try {
    const line = fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m);
    return line ? Number(line[1]) * 1024 : null;
  } catch {
    return null;
  }
}

/** @returns {number} The bytes that this container may still take. */
function availableBytes() {
  let free = number(fs.readFileSync('/proc/meminfo', 'utf8'), 'MemAvailable') * 1024;
  for (const names of FILES) {
    try {
      const [limit, used, statistics] = names.slice(0, 3).map((name) => fs.readFileSync(`${GROUPS}/${name}`, 'utf8'));
      const left = Number(limit) - Number(used) + number(statistics, names[3]);
      if (!Number.isNaN(left)) free = Math.min(free, left); // the limit may be the word `max`
    } catch {
      // this machine has the other version of control groups
    }
  }
  return Math.max(0, free);
}

/** @param {string} text @param {string} name */
const number = (text, name) => Number(text.match(new RegExp(`^${name}:?\\s+(\\d+)`, 'm'))?.[1] ?? 0);

module.exports = { availableBytes, residentBytes };
