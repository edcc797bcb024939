/*
 * The search for jobs whose messages are lost: one job, the relay that publishes its message, a queue that loses
 * messages, two workers, and whoever sends the probes. README.md beside this file says what is proved.
 *
 * Each rule can be taken away with -DWITHOUT_<RULE>, and then a property fails. FAULTS is how many messages may be lost
 * (alone, or with their queue) and workers may die; DOUBLES how often a relay may publish the same row twice.
 *
 * There are no clocks. What waits for a time here waits for what is certain to have happened by then.
 */

#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef DOUBLES
#define DOUBLES 1
#endif
#ifndef RETRIES
#define RETRIES 1
#endif
/* Faults come before the last search begins. */
#define SEARCHES 3
#define LENGTH 6
#define NOBODY 0

byte faults = FAULTS, doubles = DOUBLES, retries = RETRIES, searches = SEARCHES, spare = 1;

/* ---- Postgres ---- */

byte seq = 1;
bool over = false, running = false;
byte ends = 0;        /* how often an end of the job was written */
byte claim = NOBODY;  /* the worker, plus one */
bool beaten = false;  /* since the first probe was seen */
bool row = true;      /* in a table of the outbox, with the message of this seq */
bool published = false;
byte round = 0;       /* of the probe that is under way, 0 for none */
byte probe = 0;       /* the id of its message that counts */
bool probeRow = false, seen = false;
byte noted = 0;       /* the seq that the job had */

/* ---- RabbitMQ ---- */

mtype = { job, asking };
/* The job's seq or the probe's id, and whether it was handed out before. */
chan queue = [LENGTH] of { mtype, byte, bool };

/* ---- workers ---- */

mtype = { idle, given, atWork, done, askedFor };
mtype state[2] = idle;
bool inHand[2];    /* the broker waits for an ack */
byte number[2];    /* of the message */
bool again[2];     /* it was handed out before */
byte ours[2];      /* the claim that the worker's write is compared with */
bool early[2];     /* it was given the job before the first probe was seen, and has the message or has not begun */
bool pressing[2];  /* it has to take the job over, since before the second probe was seen */

#define OURS(w) (!over && seq == number[w] && claim == ours[w])
#ifdef WITHOUT_COMPARING
#define MAY_WRITE(w) true
#else
#define MAY_WRITE(w) OURS(w)
#endif
#define HAS(w) (inHand[w] && state[w] != askedFor && number[w] == noted)
#define WORKS(w) (state[w] == atWork && OURS(w))
#define HOLDS(w) (state[w] == given || (inHand[w] && state[w] != askedFor))
#define PROBE_IS_OUT (queue??[asking, eval(probe), false] || queue??[asking, eval(probe), true] \
  || (state[0] == askedFor && number[0] == probe) || (state[1] == askedFor && number[1] == probe))

inline forget(w) {
  state[w] = idle; inHand[w] = false; number[w] = 0; again[w] = false; ours[w] = NOBODY;
  early[w] = false; pressing[w] = false
}

inline begin(w) {
  state[w] = atWork; pressing[w] = false; early[w] = early[w] && inHand[w]
}

/* A message goes back to the end of the queue, or to its head: behind the end, and then the others go round. */
inline goBack(kind, what) {
  queue!kind, what, true;
  if
  :: true
  :: turns = len(queue) - 1;
     do
     :: turns > 0 -> queue?otherKind, otherNumber, otherAgain; queue!otherKind, otherNumber, otherAgain; turns--
     :: else -> break
     od
  fi;
  turns = 0; otherKind = job; otherNumber = 0; otherAgain = false
}

proctype Worker(byte w) {
  mtype kind = job, otherKind = job;
  byte what = 0, otherNumber = 0, turns = 0;
  bool otherAgain = false;
  do
  :: atomic { state[w] == idle && len(queue) > 0 ->
       queue?kind, what, again[w];
       number[w] = what; inHand[w] = true;
       if
       :: kind == job -> state[w] = given; pressing[w] = false
       :: else -> state[w] = askedFor
       fi;
       kind = job; what = 0 }
  :: atomic { state[w] == askedFor ->
       if
#ifdef WITHOUT_ROUNDS
       :: round > 0 && !seen ->
#else
       :: round > 0 && probe == number[w] && !seen ->
#endif
          seen = true;
          if
          :: round == 1 -> beaten = false; early[0] = HOLDS(0); early[1] = HOLDS(1)
          :: else -> pressing[0] = (state[0] == given); pressing[1] = (state[1] == given)
          fi
       :: else
       fi;
       forget(w) }
  :: atomic { state[w] == given ->
       if
       :: over || seq != number[w] -> forget(w)
#ifndef WITHOUT_TAKEOVER
       :: !over && seq == number[w] && (again[w] || running) ->
          claim = w + 1; ours[w] = w + 1; running = true; beaten = true; begin(w)
       :: !over && seq == number[w] && !again[w] && !running ->
#else
       :: !over && seq == number[w] ->
#endif
          ours[w] = claim; begin(w)
       fi }
  /* A long job beats. */
  :: atomic { WORKS(w) && !beaten -> claim = w + 1; ours[w] = w + 1; running = true; beaten = true }
  :: atomic { state[w] == atWork && MAY_WRITE(w) ->
       over = true; running = false; claim = NOBODY; ends++; assert(ends <= 1); state[w] = done }
  :: atomic { state[w] == atWork && OURS(w) && retries > 0 && !row ->
       retries--; seq++; running = false; claim = NOBODY; row = true; published = false; state[w] = done }
  /* Somebody else was first: its message answers for the job. */
  :: atomic { state[w] == atWork && !OURS(w) -> forget(w) }
  :: atomic { state[w] == done -> forget(w) }
  /*
   * The worker dies, or its link; or, below, the broker takes back what it has had for too long, and it works on. Not
   * covered is one that dies in the second round between being given a message and taking its job over.
   */
  :: atomic { state[w] != idle && faults > 0 && searches > 0 && !(round == 2 && state[w] == given) ->
       faults--;
       if
       :: inHand[w] && state[w] == askedFor -> goBack(asking, number[w])
       :: inHand[w] && state[w] != askedFor -> goBack(job, number[w])
       :: else
       fi;
       forget(w) }
  :: atomic { early[w] && inHand[w] && state[w] != idle ->
       inHand[w] = false; early[w] = (state[w] == given); goBack(job, number[w]) }
  od
}

/* A relay that dies between its publish and its delete publishes the row once more. */
proctype Relay() {
  do
  :: atomic { row && !published && nfull(queue) -> queue!job, seq, false; published = true }
  :: atomic { row && published -> row = false; published = false }
  :: atomic { row && published && doubles > 0 -> doubles--; published = false }
  :: atomic { probeRow && nfull(queue) -> queue!asking, probe, false; probeRow = false }
  od
}

proctype Loss() {
  mtype kind = job;
  byte what = 0;
  bool was = false;
  do
  :: atomic { len(queue) > 0 && faults > 0 && searches > 0 ->
       faults--;
       if
       :: queue?kind, what, was
       /* The whole queue, and with it what the workers have in hand. */
       :: do
          :: len(queue) > 0 -> queue?kind, what, was
          :: else -> break
          od;
          inHand[0] = false; inHand[1] = false;
          early[0] = early[0] && state[0] == given; early[1] = early[1] && state[1] == given
       fi;
       kind = job; what = 0; was = false }
  od
}

#ifdef WITHOUT_LOOK_AT_OUTBOX
#define NOTED true
#else
#define NOTED (!row)
#endif
#ifdef WITHOUT_HOLD
#define HELD_ENOUGH true
#else
/* Each has begun with what it was given by then, or given it back, and one that works on has beaten. */
#define HELD_ENOUGH (!early[0] && !early[1] && (!WORKS(0) || beaten) && (!WORKS(1) || beaten))
#endif
#ifdef WITHOUT_SECOND_ROUND
#define LAST 1
#else
#define LAST 2
#endif
#ifdef WITHOUT_TIME_TO_TAKE
#define TAKEN true
#else
#define TAKEN (!pressing[0] && !pressing[1])
#endif
#ifdef WITHOUT_BEATS
#define SILENT true
#else
#define SILENT (!beaten)
#endif

/* A message of the job's that still counts, or somebody who is about to write its end. */
#define ALIVE (queue??[job, eval(noted), false] || queue??[job, eval(noted), true] \
  || HAS(0) || HAS(1) || WORKS(0) || WORKS(1))

proctype Prober() {
  bool alive = false, isHeld = false;
  do
  :: atomic { round == 0 && !over && searches > 0 && NOTED ->
       searches--; noted = seq; round = 1; probe++; probeRow = true }
#ifndef WITHOUT_AGAIN
  :: atomic { round > 0 && !seen && !probeRow && !PROBE_IS_OUT -> probeRow = true }
#endif
  /* It is not known whether one is out: another may be sent beside it. */
  :: atomic { round > 0 && !seen && !probeRow && spare > 0 -> spare--; probeRow = true }
  :: atomic { round == 1 && seen && !isHeld && HELD_ENOUGH -> isHeld = true }
  :: atomic { round == 1 && LAST == 2 && isHeld -> round = 2; probe++; seen = false; probeRow = true }
  :: atomic { round == LAST && seen && isHeld && TAKEN ->
       if
       :: !over && seq == noted && SILENT ->
          alive = ALIVE;
          assert(!alive);
          seq++; claim = NOBODY; running = false; row = true; published = false
       :: else
       fi;
       round = 0; seen = false; noted = 0; isHeld = false; alive = false }
  od
}

/* When nothing can move any more. */
proctype End() {
  timeout -> assert(over)
}

init {
  atomic { run Worker(0); run Worker(1); run Relay(); run Loss(); run Prober(); run End() }
}
