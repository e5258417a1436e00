'use strict';
/** The HCA_* variables, typed, read once, before the first worker starts. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

class SettingsError extends Error {}

/**
 * @typedef {object} Settings
 * @property {number} wanted
 * @property {import('./recycling').Policy} policy
 * @property {number} sampleInterval
 * @property {{directory: string, most: number} | null} heap Where snapshots go, and the bytes of one.
 */

/** @param {Record<string, string | undefined>} environment @returns {Settings} */
function settingsFrom(environment) {
  /** @param {string} name @param {number} fallback @param {number} least @param {number} most @param {string} unit */
  const number = (name, fallback, least, most, unit) => {
    const text = environment[name];
    if (text === undefined) return fallback;
    if (!/^[0-9]+$/.test(text) || Number(text) < least || Number(text) > most) {
      throw new SettingsError(`${name} must be a whole number of ${unit} from ${least} to ${most}, not '${text}'.`);
    }
    return Number(text);
  };
  const sampleInterval = number('HCA_RSS_SAMPLE_INTERVAL', 10, 1, 300, 'seconds');
  const directory = folder(environment.HCA_SNAPSHOT_DIR);
  const most = number('HCA_SNAPSHOT_MAX_SIZE', 256, 1, 2 ** 20, 'MiB') * 2 ** 20;
  const samples = number('HCA_RSS_SAMPLES', 3, 1, 100, 'samples');
  return {
    wanted: number('WEB_CONCURRENCY', os.availableParallelism?.() ?? os.cpus().length, 1, 1024, 'workers'),
    policy: {
      maxRss: number('HCA_WORKER_MAX_RSS', Infinity, 1, 2 ** 24, 'MiB') * 2 ** 20,
      samples,
      early: 2 * samples * sampleInterval,
      maxSilence: number('HCA_WORKER_MAX_SILENCE', 8, 2, 3600, 'seconds'),
      bootTimeout: number('HCA_WORKER_BOOT_TIMEOUT', 60, 1, 3600, 'seconds'),
      killTimeout: number('HCA_WORKER_KILL_TIMEOUT', 30, 1, 3600, 'seconds'),
      minInterval: number('HCA_WORKER_MIN_INTERVAL', 60, 0, 86_400, 'seconds'),
    },
    sampleInterval,
    heap: directory === null ? null : { directory, most },
  };
}

/** @param {string | undefined} text */
function folder(text) {
  if (text === undefined) return null;
  if (!path.isAbsolute(text) || !fs.statSync(text, { throwIfNoEntry: false })?.isDirectory()) {
    throw new SettingsError(
      `HCA_SNAPSHOT_DIR must be the absolute path of a directory that exists, not '${text}'.`,
    );
  }
  return text;
}

module.exports = { SettingsError, settingsFrom };
