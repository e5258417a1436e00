'use strict';
/**
 * Which worker is replaced or killed, and when: the same rules as hca_workers/rules/recycling.py, which gives the
 * reasons. A test runs both on the same sequences of events and compares their decisions.
 */

const LONGEST_INTERVAL_SECONDS = 3600;

/**
 * @typedef {object} Policy
 * @property {number} maxRssBytes
 * @property {number} samples
 * @property {number} earlyAgeSeconds
 * @property {number} maxSilenceSeconds
 * @property {number} bootTimeoutSeconds
 * @property {number} killTimeoutSeconds
 * @property {number} minIntervalSeconds
 *
 * @typedef {object} Worker One observed process.
 * @property {number} pid
 * @property {number} ageSeconds
 * @property {boolean} ready
 * @property {number} silenceSeconds
 * @property {number | null} rssBytes null unless it was sampled for this observation.
 *
 * @typedef {object} Observed
 * @property {Worker[]} workers
 * @property {number} desired
 * @property {number} now
 * @property {number[]} ended Process ids that ended since the previous observation.
 *
 * @typedef {object} Action
 * @property {'replace' | 'drain' | 'kill' | 'note'} verb
 * @property {number} pid
 * @property {string} reason
 *
 * @typedef {object} Replacement
 * @property {number} old
 * @property {number} startedAt
 * @property {Set<number>} existing
 * @property {boolean} useful
 * @property {number | null} drainingSince
 *
 * @typedef {object} State
 * @property {Map<number, number>} samplesOver
 * @property {Set<number>} overEarly
 * @property {Set<number>} requested
 * @property {Set<number>} killed
 * @property {Replacement | null} replacement
 * @property {number} notBefore
 * @property {number} failures
 * @property {number | null} observedAt
 * @property {number} silenceIgnoredUntil
 */

/** @returns {State} */
const newState = () => ({
  samplesOver: new Map(),
  overEarly: new Set(),
  requested: new Set(),
  killed: new Set(),
  replacement: null,
  notBefore: -Infinity,
  failures: 0,
  observedAt: null,
  silenceIgnoredUntil: -Infinity,
});

/** @param {State} state */
const surplus = (state) => (state.replacement === null ? 0 : 1);

/** @param {Policy} policy @param {number} failures */
const intervalSeconds = ({ minIntervalSeconds }, failures) =>
  Math.max(minIntervalSeconds, Math.min(minIntervalSeconds * 2 ** Math.min(failures, 32), LONGEST_INTERVAL_SECONDS));

/** @param {State} state @param {Iterable<number>} pids @returns {State} */
const requestReplacement = (state, pids) => ({ ...state, requested: new Set([...state.requested, ...pids]) });

/** @param {State} before @param {Observed} observed @param {Policy} policy @returns {{state: State, actions: Action[]}} */
function decide(before, observed, policy) {
  const { state, actions: kills } = killUnresponsive(updated(before, observed, policy), observed, policy);
  const current = state.replacement;
  const decided =
    current === null
      ? beginReplacement(state, observed, policy)
      : continueReplacement(state, current, observed, policy);
  return { state: decided.state, actions: [...kills, ...decided.actions] };
}

/** @param {State} state @param {Observed} observed @param {Policy} policy @returns {State} */
function updated(state, observed, policy) {
  const present = new Set(observed.workers.map((worker) => worker.pid));
  const ofPresent = (/** @type {Set<number>} */ pids) => new Set([...pids].filter((pid) => present.has(pid)));
  const samplesOver = new Map(
    observed.workers.map((worker) => [worker.pid, consecutive(state.samplesOver.get(worker.pid) ?? 0, worker, policy)]),
  );
  const overEarly = ofPresent(state.overEarly);
  for (const { pid, ageSeconds } of observed.workers) {
    const reached =
      (state.samplesOver.get(pid) ?? 0) < policy.samples && (samplesOver.get(pid) ?? 0) >= policy.samples;
    if (reached && ageSeconds <= policy.earlyAgeSeconds) overEarly.add(pid);
  }
  const paused = state.observedAt !== null && observed.now - state.observedAt > policy.maxSilenceSeconds / 2;
  return {
    ...state,
    samplesOver,
    overEarly,
    requested: ofPresent(state.requested),
    killed: ofPresent(state.killed),
    observedAt: observed.now,
    silenceIgnoredUntil: paused ? observed.now + policy.maxSilenceSeconds : state.silenceIgnoredUntil,
  };
}

/** @param {number} before @param {Worker} worker @param {Policy} policy */
function consecutive(before, worker, policy) {
  if (worker.rssBytes === null) return before;
  return worker.rssBytes > policy.maxRssBytes ? before + 1 : 0;
}

/** @param {State} state @param {Observed} observed @param {Policy} policy @returns {{state: State, actions: Action[]}} */
function killUnresponsive(state, observed, policy) {
  if (observed.now < state.silenceIgnoredUntil) return { state, actions: [] };
  /** @type {Action[]} */
  const actions = [];
  const draining = state.replacement?.drainingSince != null ? state.replacement.old : null;
  for (const { pid, ready, ageSeconds, silenceSeconds } of observed.workers) {
    if (state.killed.has(pid)) continue;
    if (!ready && ageSeconds > policy.bootTimeoutSeconds) {
      actions.push(action('kill', pid, `it is not ready after ${policy.bootTimeoutSeconds} s`));
    } else if (ready && silenceSeconds > policy.maxSilenceSeconds && pid !== draining) {
      actions.push(action('kill', pid, `its event loop has been blocked for ${policy.maxSilenceSeconds} s`));
    }
  }
  const killed = new Set([...state.killed, ...actions.map(({ pid }) => pid)]);
  return { state: { ...state, killed }, actions };
}

/** @param {State} state @param {Observed} observed @param {Policy} policy @returns {{state: State, actions: Action[]}} */
function beginReplacement(state, observed, policy) {
  const { workers, desired, now } = observed;
  const settled = workers.length >= desired && state.killed.size === 0;
  if (!settled || !workers.every((worker) => worker.ready)) return { state, actions: [] };
  const spare = workers.length > desired;
  const samplesOver = (/** @type {Worker} */ worker) => state.samplesOver.get(worker.pid) ?? 0;
  const tooBig = workers.filter((worker) => samplesOver(worker) >= policy.samples && now >= state.notBefore);
  const due = tooBig.length ? tooBig : workers.filter((worker) => state.requested.has(worker.pid));
  if (!due.length && !spare) return { state, actions: [] };
  const first = (/** @type {Worker} */ a, /** @type {Worker} */ b) =>
    samplesOver(b) - samplesOver(a) || b.ageSeconds - a.ageSeconds || a.pid - b.pid;
  const old = [...(due.length ? due : workers)].sort(first)[0];
  const replacement = {
    old: old.pid,
    startedAt: now,
    existing: new Set(workers.map((worker) => worker.pid)),
    useful: !state.overEarly.has(old.pid),
    drainingSince: spare ? now : null,
  };
  const next = { ...state, replacement };
  if (spare) return { state: next, actions: [action('drain', old.pid, 'there is one worker more than desired')] };
  const reason = tooBig.length ? 'it holds more memory than it may' : 'its replacement was requested';
  return { state: next, actions: [action('replace', old.pid, reason)] };
}

/**
 * @param {State} state @param {Replacement} current @param {Observed} observed @param {Policy} policy
 * @returns {{state: State, actions: Action[]}}
 */
function continueReplacement(state, current, observed, policy) {
  const { workers, desired, now, ended } = observed;
  if (workers.every((worker) => worker.pid !== current.old)) {
    return { state: endReplacement(state, policy, now, current.useful ? 0 : state.failures + 1), actions: [] };
  }
  if (current.drainingSince !== null) return killLate(state, current, policy, now);
  const died = ended.some((pid) => !current.existing.has(pid));
  if (died || now - current.startedAt > 2 * policy.bootTimeoutSeconds) {
    const next = endReplacement({ ...state, requested: new Set() }, policy, now, state.failures + 1);
    const interval = intervalSeconds(policy, next.failures);
    const reason = `its replacement did not become ready, so it stays; next try in ${interval} s`;
    return { state: next, actions: [action('note', current.old, reason)] };
  }
  const others = workers.filter((worker) => worker.ready && worker.pid !== current.old);
  if (others.length < desired) return { state, actions: [] };
  return {
    state: { ...state, replacement: { ...current, drainingSince: now } },
    actions: [action('drain', current.old, 'another one is ready in its place')],
  };
}

/**
 * @param {State} state @param {Replacement} current @param {Policy} policy @param {number} now
 * @returns {{state: State, actions: Action[]}}
 */
function killLate(state, current, policy, now) {
  const late = current.drainingSince !== null && now - current.drainingSince > policy.killTimeoutSeconds;
  if (!late || state.killed.has(current.old)) return { state, actions: [] };
  const killed = new Set([...state.killed, current.old]);
  return {
    state: { ...state, killed },
    actions: [action('kill', current.old, `it has not finished within ${policy.killTimeoutSeconds} s`)],
  };
}

/** @param {State} state @param {Policy} policy @param {number} now @param {number} failures @returns {State} */
const endReplacement = (state, policy, now, failures) => ({
  ...state,
  replacement: null,
  failures,
  notBefore: now + intervalSeconds(policy, failures),
});

/** @param {Action['verb']} verb @param {number} pid @param {string} reason @returns {Action} */
const action = (verb, pid, reason) => ({ verb, pid, reason });

module.exports = { decide, newState, requestReplacement, surplus };
