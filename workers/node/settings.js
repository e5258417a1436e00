'use strict';
/** The HCA_* variables, typed, read once, before the first worker starts. */

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

class SettingsError extends Error {}

/**
 * @typedef {object} Settings
 * @property {number} desired Number of workers.
 * @property {import('./recycling').Policy} policy
 * @property {number} sampleIntervalSeconds
 * @property {{directory: string, maxBytes: number} | null} snapshots null writes no heap snapshots.
 */

/** @param {Record<string, string | undefined>} environment @returns {Settings} Throws SettingsError. */
function settingsFrom(environment) {
  /** @param {string} name @param {number} fallback @param {number} minimum @param {number} maximum @param {string} unit */
  const number = (name, fallback, minimum, maximum, unit) => {
    const text = environment[name];
    if (text === undefined) return fallback;
    if (!/^[0-9]+$/.test(text) || Number(text) < minimum || Number(text) > maximum) {
      throw new SettingsError(`${name} must be a whole number of ${unit} from ${minimum} to ${maximum}, not '${text}'.`);
    }
    return Number(text);
  };
  const sampleIntervalSeconds = number('HCA_RSS_SAMPLE_INTERVAL', 10, 1, 300, 'seconds');
  const directory = absoluteDirectory(environment.HCA_SNAPSHOT_DIR);
  const maxBytes = number('HCA_SNAPSHOT_MAX_SIZE', 256, 1, 2 ** 20, 'MiB') * 2 ** 20;
  const samples = number('HCA_RSS_SAMPLES', 3, 1, 100, 'samples');
  return {
    desired: number('WEB_CONCURRENCY', os.availableParallelism?.() ?? os.cpus().length, 1, 1024, 'workers'),
    policy: {
      maxRssBytes: number('HCA_WORKER_MAX_RSS', Infinity, 1, 2 ** 24, 'MiB') * 2 ** 20,
      samples,
      earlyAgeSeconds: 2 * samples * sampleIntervalSeconds,
      maxSilenceSeconds: number('HCA_WORKER_MAX_SILENCE', 8, 2, 3600, 'seconds'),
      bootTimeoutSeconds: number('HCA_WORKER_BOOT_TIMEOUT', 60, 1, 3600, 'seconds'),
      killTimeoutSeconds: number('HCA_WORKER_KILL_TIMEOUT', 30, 1, 3600, 'seconds'),
      minIntervalSeconds: number('HCA_WORKER_MIN_INTERVAL', 60, 0, 86_400, 'seconds'),
    },
    sampleIntervalSeconds,
    snapshots: directory === null ? null : { directory, maxBytes },
  };
}

/** @param {string | undefined} text */
function absoluteDirectory(text) {
  if (text === undefined) return null;
  if (!path.isAbsolute(text) || !fs.statSync(text, { throwIfNoEntry: false })?.isDirectory()) {
    throw new SettingsError(
      `HCA_SNAPSHOT_DIR must be the absolute path of a directory that exists, not '${text}'.`,
    );
  }
  return text;
}

module.exports = { SettingsError, settingsFrom };
