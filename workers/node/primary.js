#!/usr/bin/env node
'use strict';
/**
 * `hca-node server.js [arguments]`: the script in WEB_CONCURRENCY worker processes of node:cluster.
 *
 * The primary observes its workers twice a second. It reads their memory from /proc, which also works for a worker that
 * hangs. Each event loop sends heartbeats. A worker is ready when node:cluster reports it as listening.
 */

const cluster = require('node:cluster');
const fs = require('node:fs');
const path = require('node:path');

const { residentBytes } = require('./memory');
const recycling = require('./recycling');
const { NO_BACKOFF, afterDeath } = require('./respawning');
const { SettingsError, settingsFrom } = require('./settings');

const OBSERVE_INTERVAL_MS = 500;
/** Touching this file in the directory of the snapshots requests one of each worker. */
const REQUEST = 'request';

const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const log = (/** @type {string} */ line) => process.stderr.write(`hca-node: ${line}\n`);

class Primary {
  /** @param {import('./settings').Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.state = recycling.newState();
    /** @type {Map<number, {worker: cluster.Worker, startedAt: number, ready: boolean, beat: number}>} */
    this.workers = new Map();
    this.nextSample = 0;
    this.requestMtime = this.currentRequestMtime();
    /** @type {Set<number>} Workers of which a heap snapshot was requested. */
    this.snapshotRequested = new Set();
    this.backoff = NO_BACKOFF;
    this.hasServed = false;
    this.ending = false;
    this.exitCode = 0;
  }

  run() {
    cluster.on('listening', (worker) => {
      const known = this.workers.get(worker.process.pid ?? 0);
      if (!known) return;
      known.ready = this.hasServed = true;
      known.beat = seconds();
    });
    cluster.on('message', (worker, message) => this.onMessage(worker, message));
    cluster.on('exit', (worker, code, signal) => this.onExit(worker, code, signal));
    for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) process.on(signal, () => this.end());
    process.on('SIGHUP', () => this.replaceAll());
    setInterval(() => this.observe([]), OBSERVE_INTERVAL_MS);
    this.observe([]);
  }

  /** @param {number[]} ended Process ids that ended since the previous observation. */
  observe(ended) {
    if (this.ending) return;
    this.checkRequestFile();
    const now = seconds();
    const sampled = now >= this.nextSample;
    if (sampled) this.nextSample = now + this.settings.sampleIntervalSeconds;
    const workers = [...this.workers].map(([pid, { startedAt, ready, beat }]) => ({
      pid,
      ageSeconds: now - startedAt,
      ready,
      silenceSeconds: now - beat,
      rssBytes: sampled ? residentBytes(pid) : null,
    }));
    const observed = { workers, desired: this.settings.desired, now, ended };
    const decided = recycling.decide(this.state, observed, this.settings.policy);
    this.state = decided.state;
    for (const action of decided.actions) this.perform(action);
    const missing = this.settings.desired + recycling.surplus(this.state) - this.workers.size;
    for (let number = 0; now >= this.backoff.notBefore && number < missing; number += 1) this.start();
  }

  /** If the request file was touched, have every worker replaced, and write its heap after its last request. */
  checkRequestFile() {
    const before = this.requestMtime;
    this.requestMtime = this.currentRequestMtime();
    if (this.requestMtime === before) return;
    this.snapshotRequested = new Set(this.workers.keys());
    this.replaceAll();
  }

  currentRequestMtime() {
    const { snapshots } = this.settings;
    if (snapshots === null) return null;
    return fs.statSync(path.join(snapshots.directory, REQUEST), { throwIfNoEntry: false })?.mtimeMs ?? null;
  }

  replaceAll() {
    this.state = recycling.requestReplacement(this.state, this.workers.keys());
  }

  start() {
    const worker = cluster.fork();
    // A worker that ends now receives no more messages. Without a listener, that error would end the primary.
    worker.on('error', () => {});
    const now = seconds();
    this.workers.set(worker.process.pid ?? 0, { worker, startedAt: now, ready: false, beat: now });
  }

  /** @param {import('./recycling').Action} action */
  perform({ verb, pid, reason }) {
    log(`worker ${pid}, ${verb}: ${reason}`);
    const worker = this.workers.get(pid)?.worker;
    if (verb === 'drain') {
      const tooBig = (residentBytes(pid) ?? 0) > this.settings.policy.maxRssBytes;
      const snapshots = this.snapshotRequested.delete(pid) || tooBig ? this.settings.snapshots : null;
      if (worker?.isConnected()) worker.send({ hca: 'drain', snapshots });
    } else if (verb === 'kill') {
      worker?.process.kill('SIGKILL');
    }
  }

  /** @param {cluster.Worker} worker @param {{hca?: string, id?: number}} message */
  onMessage(worker, message) {
    if (message?.hca === 'beat') {
      const known = this.workers.get(worker.process.pid ?? 0);
      if (known) known.beat = seconds();
    } else if (message?.hca === 'health') {
      worker.send({ hca: 'health', id: message.id, workers: this.health() });
    }
  }

  health() {
    const now = seconds();
    return [...this.workers]
      .filter(([, { ready }]) => ready)
      .map(([pid, { beat }]) => ({
        worker: pid,
        seconds_since_beat: Number((now - beat).toFixed(3)),
        rss_bytes: residentBytes(pid) ?? 0,
      }));
  }

  /** @param {cluster.Worker} worker @param {number | null} code @param {string | null} signal */
  onExit(worker, code, signal) {
    const pid = worker.process.pid ?? 0;
    const known = this.workers.get(pid);
    this.workers.delete(pid);
    if (this.ending) {
      if (this.workers.size === 0) process.exit(this.exitCode);
      return;
    }
    if (!this.hasServed) {
      log(`worker ${pid} ended with ${signal ?? `code ${code}`} before any had served`);
      this.exitCode = 3;
      this.end();
      return;
    }
    const current = this.state.replacement;
    if (known && !(current?.old === pid && current.drainingSince !== null)) {
      const now = seconds();
      const age = now - known.startedAt;
      log(`worker ${pid} ended with ${signal ?? `code ${code}`} after ${Math.round(age)} s`);
      this.backoff = afterDeath(this.backoff, age, now);
    }
    this.observe([pid]);
  }

  end() {
    if (this.ending) return;
    this.ending = true;
    if (this.workers.size === 0) process.exit(this.exitCode);
    for (const { worker } of this.workers.values()) {
      if (worker.isConnected()) worker.send({ hca: 'drain' });
    }
    setTimeout(() => {
      for (const { worker } of this.workers.values()) worker.process.kill('SIGKILL');
    }, this.settings.policy.killTimeoutSeconds * 1000);
  }
}

function main() {
  const [script, ...args] = process.argv.slice(2);
  if (script === undefined) {
    log('name the script that the workers are to run: hca-node server.js');
    process.exit(2);
  }
  try {
    const settings = settingsFrom(process.env);
    cluster.setupPrimary({
      exec: path.resolve(script),
      args,
      execArgv: [...process.execArgv, '--require', path.join(__dirname, 'worker.js')],
    });
    new Primary(settings).run();
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error;
    log(error.message);
    process.exit(2);
  }
}

main();
