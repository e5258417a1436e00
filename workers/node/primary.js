#!/usr/bin/env node
'use strict';
/**
 * `hca-node server.js [arguments]`: the script in WEB_CONCURRENCY worker processes of node:cluster.
 *
 * The primary looks at its workers twice a second: what they hold it reads from /proc, so also from
 * one that hangs; that they live it hears from their own loops; that they are ready from 'listening'.
 */

const cluster = require('node:cluster');
const fs = require('node:fs');
const path = require('node:path');

const recycling = require('./recycling');
const { SettingsError, settingsFrom } = require('./settings');

const LOOK_EVERY = 500;
/** A worker that dies younger than this is started anew later each time. */
const STEADY = 60;
const LONGEST_WAIT = 30;
/** Whoever touches this file in the directory of the snapshots asks for some. */
const REQUEST = 'request';

const seconds = () => Number(process.hrtime.bigint()) / 1e9;
const log = (/** @type {string} */ line) => process.stderr.write(`hca-node: ${line}\n`);

/** @param {number} pid @returns {number | null} */
function residentBytes(pid) {
  try {
    const line = fs.readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB$/m);
    return line ? Number(line[1]) * 1024 : null;
  } catch {
    return null; // it has just ended
  }
}

class Primary {
  /** @param {import('./settings').Settings} settings */
  constructor(settings) {
    this.settings = settings;
    this.state = recycling.newState();
    /** @type {Map<number, {worker: cluster.Worker, born: number, ready: boolean, beat: number}>} */
    this.workers = new Map();
    this.nextSample = 0;
    this.request = this.requested();
    /** @type {Set<number>} Workers whose heap somebody has asked for. */
    this.heapAsked = new Set();
    this.earlyDeaths = 0;
    this.notBefore = 0;
    this.served = false;
    this.ends = false;
    this.code = 0;
  }

  run() {
    cluster.on('listening', (worker) => {
      const known = this.workers.get(worker.process.pid ?? 0);
      if (!known) return;
      known.ready = this.served = true;
      known.beat = seconds();
    });
    cluster.on('message', (worker, message) => this.heard(worker, message));
    cluster.on('exit', (worker, code, signal) => this.gone(worker, code, signal));
    for (const signal of /** @type {const} */ (['SIGTERM', 'SIGINT'])) process.on(signal, () => this.end());
    process.on('SIGHUP', () => {
      this.state = recycling.asked(this.state, this.workers.keys());
    });
    setInterval(() => this.look([]), LOOK_EVERY);
    this.look([]);
  }

  /** @param {number[]} ended */
  look(ended) {
    if (this.ends) return;
    this.hearRequest();
    const now = seconds();
    const sampled = now >= this.nextSample;
    if (sampled) this.nextSample = now + this.settings.sampleInterval;
    const workers = [...this.workers].map(([pid, { born, ready, beat }]) => ({
      pid,
      age: now - born,
      ready,
      silence: now - beat,
      rss: sampled ? residentBytes(pid) : null,
    }));
    const seen = { workers, wanted: this.settings.wanted, now, ended };
    const decided = recycling.decide(this.state, seen, this.settings.policy);
    this.state = decided.state;
    for (const act of decided.acts) this.act(act);
    const missing = this.settings.wanted + recycling.surplus(this.state) - this.workers.size;
    for (let number = 0; now >= this.notBefore && number < missing; number += 1) this.start();
  }

  /** Have every worker replaced, one after the other, and its heap written when it has left, if somebody asks for it. */
  hearRequest() {
    const before = this.request;
    this.request = this.requested();
    if (this.request === before) return;
    this.heapAsked = new Set(this.workers.keys());
    this.state = recycling.asked(this.state, this.workers.keys());
  }

  requested() {
    const { heap } = this.settings;
    return heap && (fs.statSync(path.join(heap.directory, REQUEST), { throwIfNoEntry: false })?.mtimeMs ?? null);
  }

  start() {
    const worker = cluster.fork();
    // A worker that ends at this moment hears nothing more, of us or of node:cluster. Unheard, that error would end us.
    worker.on('error', () => {});
    const now = seconds();
    this.workers.set(worker.process.pid ?? 0, { worker, born: now, ready: false, beat: now });
  }

  /** @param {import('./recycling').Act} act */
  act({ verb, pid, why }) {
    log(`worker ${pid}, ${verb}: ${why}`);
    const worker = this.workers.get(pid)?.worker;
    if (verb === 'drain') {
      const wanted = this.heapAsked.delete(pid) || (residentBytes(pid) ?? 0) > this.settings.policy.maxRss;
      const heap = wanted ? this.settings.heap : null;
      if (worker?.isConnected()) worker.send({ hca: 'drain', heap });
    } else if (verb === 'kill') {
      worker?.process.kill('SIGKILL');
    }
  }

  /** @param {cluster.Worker} worker @param {{hca?: string, id?: number}} message */
  heard(worker, message) {
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
  gone(worker, code, signal) {
    const pid = worker.process.pid ?? 0;
    const known = this.workers.get(pid);
    this.workers.delete(pid);
    if (this.ends) {
      if (this.workers.size === 0) process.exit(this.code);
      return;
    }
    if (!this.served) {
      log(`worker ${pid} ended with ${signal ?? `code ${code}`} before any had served`);
      this.code = 3;
      this.end();
      return;
    }
    const change = this.state.replacement;
    if (known && !(change?.old === pid && change.drainingSince !== null)) {
      const now = seconds();
      log(`worker ${pid} ended with ${signal ?? `code ${code}`} after ${Math.round(now - known.born)} s`);
      this.earlyDeaths = now - known.born >= STEADY ? 0 : this.earlyDeaths + 1;
      const wait = this.earlyDeaths === 0 ? 0 : Math.min(2 ** Math.min(this.earlyDeaths - 1, 32), LONGEST_WAIT);
      this.notBefore = now + wait;
    }
    this.look([pid]);
  }

  end() {
    if (this.ends) return;
    this.ends = true;
    if (this.workers.size === 0) process.exit(this.code);
    for (const { worker } of this.workers.values()) {
      if (worker.isConnected()) worker.send({ hca: 'drain' });
    }
    setTimeout(() => {
      for (const { worker } of this.workers.values()) worker.process.kill('SIGKILL');
    }, this.settings.policy.killTimeout * 1000);
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
