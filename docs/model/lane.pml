/*
 * The life of one lane: writers commit rows, the relay that owns the lane publishes and deletes them, and a second relay
 * stands by. README.md beside this file says what is proved and which rule holds up which property.
 *
 * Each rule can be taken away with -DWITHOUT_<RULE>, and then a property fails. -DKEYED makes it a lane of ordering keys;
 * without it, it is a pod's own lane. FAULTS is how many sessions, connections and processes may be lost in one life. With
 * -DSTOPS one of the relays may be told to stop, and leaves the lane to the other one. With -DABANDONS one channel may be
 * given up since its confirms do not come in time.
 *
 * Steps that are atomic here are atomic there: one statement, one commit, one frame. Between two steps of a relay
 * everything else may happen, so a relay that is frozen, and wakes much later, needs no step of its own.
 */

#ifndef FAULTS
#define FAULTS 1
#endif
#ifndef ROWS
#define ROWS 2
#endif
/* Of two rows both have the same key; of three, rows 0 and 2. */
#define KEY(row) ((row % 2) * (ROWS - 2))
#define NOBODY 9

/* ---- Postgres ---- */

byte xids = 0, ids = 0, commits = 0; /* the last one that was given */
byte latestEnded = 0;
byte xid[3], id[3], rank[3]; /* rank: the how-manieth commit it was */
byte running = 0;            /* the transactions in progress, as a set */
bool committed[3], deleted[3];
byte keyLock[2] = NOBODY;
byte lock = NOBODY;  /* the relay whose control session holds the lane's advisory lock */
bool asleep = false; /* the doorbell: a second lock of the owner's control session */
bool rung[2];        /* by relay: what its second session heard */
byte file = 0;       /* which one the sequence of ids is in: another one since it was begun anew */

inline endSession() {
  lock = NOBODY;
  asleep = false
}

#define BIT(row) (1 << (row))
#define HAS(set, row) (((set) & BIT(row)) != 0)
#define ADD(set, row) set = set | BIT(row)
#define DROP(set, row) set = set & ~BIT(row)

#define VISIBLE(row) (committed[row] && !deleted[row])
#define WAITING (VISIBLE(0) || VISIBLE(1) || VISIBLE(2))

/*
 * A mark is an xid, and what counts of it is which transactions in progress are older: it is kept as their set. One that
 * the relay draws itself is younger than all of them. pg_snapshot_xmax, the latest ended xid plus one, is not.
 */
#define OLDER(row) (xid[row] > 0 -> BIT(row) : 0)
#define ENDED_BEFORE(row) (xid[row] > 0 && xid[row] < latestEnded -> BIT(row) : 0)
#define OWN_MARK (running & (OLDER(0) | OLDER(1) | OLDER(2)))
#if defined(WITHOUT_OWN_MARK_FOR_FLOOR) || defined(WITHOUT_OWN_MARK_FOR_BELL)
#define SNAPSHOT_MARK (running & (ENDED_BEFORE(0) | ENDED_BEFORE(1) | ENDED_BEFORE(2)))
#endif
#ifdef WITHOUT_OWN_MARK_FOR_FLOOR
#define FLOOR_MARK SNAPSHOT_MARK
#else
#define FLOOR_MARK OWN_MARK
#endif
#ifdef WITHOUT_OWN_MARK_FOR_BELL
#define BELL_MARK SNAPSHOT_MARK
#else
#define BELL_MARK OWN_MARK
#endif
/* pg_snapshot_xmin is beyond the mark. */
#define PASSED(mark) ((mark & running) == 0)

/* ---- RabbitMQ ---- */

bool connected[2];
byte exclusive = NOBODY; /* whose connection holds the lane's exclusive queue */
chan wire[2] = [3] of { byte };
mtype = { none, confirmed, refused };
typedef Answers { mtype to[3] = none };
Answers answers[2];
#ifdef ABANDONS
chan former[2] = [3] of { byte }; /* what is on its way by a channel that was given up */
byte abandons = 1;
#endif
bool published[3];
byte newest[2]; /* the newest rank by key */

inline closeConnection(relay) {
  connected[relay] = false;
  if :: exclusive == relay -> exclusive = NOBODY :: else fi;
  do :: wire[relay]?_ :: empty(wire[relay]) -> break od;
#ifdef ABANDONS
  do :: former[relay]?_ :: empty(former[relay]) -> break od
#endif
}

/* ---- What may go wrong ---- */

byte faults = FAULTS;
bool excused = false; /* something was lost, after which a row may be published again */
bool dead[2], cutOff[2];
byte stopping = NOBODY; /* the relay that was told to stop */
#define STAYS(relay) (!cutOff[relay] && !dead[relay] && stopping != relay)

#ifdef STOPS
active proctype Stop() {
  if
  :: atomic { STAYS(1) -> stopping = 0 }
  :: atomic { STAYS(0) -> stopping = 1 }
  :: skip
  fi
}
#endif

inline lose() {
  faults--; excused = true
}

inline restore() {
  ids = 0;
  committed[0] = false; committed[1] = false; committed[2] = false;
  newest[0] = 0; newest[1] = 0
}

/* In one step, behind which nothing tells what it was: all that it kept to itself would multiply the states. */
active proctype Misfortune() {
  byte relay;
  do
  :: atomic {
       faults > 0 ->
       if :: relay = 0 :: relay = 1 fi;
       if
       :: faults = 0                                         /* nothing goes wrong any more */
       :: lock == relay -> lose(); endSession()              /* its control session */
       :: connected[relay] -> lose(); closeConnection(relay) /* its connection */
       :: STAYS(1 - relay) && !dead[relay] ->                /* its way to RabbitMQ */
          lose(); cutOff[relay] = true; closeConnection(relay)
       :: STAYS(1 - relay) && !dead[relay] ->                /* its process */
          lose(); dead[relay] = true; closeConnection(relay);
          if :: lock == relay -> endSession() :: else fi
       :: running == 0 -> lose(); endSession()               /* Postgres crashes */
       :: running == 0 ->                                    /* and comes back older */
          lose(); endSession(); latestEnded = 0; restore()
#ifdef SET_BACK
       :: running == 0 -> lose(); file++; restore()          /* the tables are made older under living sessions */
#endif
       fi;
       relay = 0
     }
  od
}

/* Which of two came first is asked by a snapshot's mark alone. */
inline drawXid(w) {
#ifdef SNAPSHOT_MARK
  xids++; xid[w] = xids
#else
  xid[w] = 1
#endif
}

/* ---- A writer: one transaction with one row ---- */

proctype Writer(byte w) {
  bool ring;
#if defined(KEYED) && !defined(WITHOUT_KEY_LOCK)
  atomic { keyLock[KEY(w)] == NOBODY -> keyLock[KEY(w)] = w };
#endif
#ifndef WITHOUT_XID_FIRST
  atomic { drawXid(w); ADD(running, w) };
  atomic { ids++; id[w] = ids };
#else
  atomic { ids++; id[w] = ids; ADD(running, w) };
  atomic { drawXid(w) };
#endif
  ring = asleep; /* a lock, so it is as it is now, whatever the transaction's snapshot */
  atomic {
    DROP(running, w);
#ifdef SNAPSHOT_MARK
    if :: xid[w] > latestEnded -> latestEnded = xid[w] :: else fi;
#endif
    xid[w] = 0;
    if :: keyLock[KEY(w)] == w -> keyLock[KEY(w)] = NOBODY :: else fi;
    if
    :: committed[w] = true;
#ifdef KEYED
       commits++; rank[w] = commits;
#endif
       if :: ring -> rung[0] = true; rung[1] = true :: else fi
    :: id[w] = 0 /* rolled back: its id stays a gap */
    fi
  }
}

/* ---- The broker: takes frames in the order they were sent, confirms or refuses each ---- */

inline enqueue() {
  assert(!published[row] || excused); /* ONCE */
  published[row] = true;
#ifdef KEYED
  assert(rank[row] >= newest[KEY(row)]); /* ORDER */
  newest[KEY(row)] = rank[row]
#endif
}

inline take(relay) {
  if
  :: enqueue();
     if
     :: answers[relay].to[row] = confirmed
     :: faults > 0 -> lose(); closeConnection(relay) /* it is out, and its confirm is lost */
     fi
  :: faults > 0 -> faults--; answers[relay].to[row] = refused
  fi;
  row = 0
}

active proctype Broker() {
  byte row;
  do
  :: atomic { wire[0]?row -> take(0) }
  :: atomic { wire[1]?row -> take(1) }
#ifdef ABANDONS
  :: atomic { former[0]?row -> enqueue(); row = 0 } /* nobody hears the answer */
  :: atomic { former[1]?row -> enqueue(); row = 0 }
#endif
  od
}

/* ---- A relay ---- */

/* A statement of the control session finds out whether the session, and the lane with it, is still there. */
#define OWNED if :: lock == r :: else -> goto fenced fi

/*
 * In an own lane a row that was refused closes its destination, which all rows here share. The others wait, tried or not,
 * and the floor may rise above all of them: when the backoff of the one is over it is due, and read by its id.
 */
#ifndef KEYED
#define HELD_BACK(row) (closed && !HAS(due, row))
#define PASSED_OVER(row) closed
#ifndef WITHOUT_DUE_BY_ID
#define READ_BY_ID(row) HAS(due, row)
#else
#define READ_BY_ID(row) false
#endif
#else
#ifndef WITHOUT_HELD_KEYS
#define HELD_BY(row, other) (HAS(held, other) && KEY(other) == KEY(row))
#else
#define HELD_BY(row, other) (HAS(held, other) && other == row)
#endif
#ifndef WITHOUT_RESTING_KEYS
#define RESTS_BY(row, other) (HAS(left, other) && KEY(other) == KEY(row))
#else
#define RESTS_BY(row, other) (HAS(left, other) && other == row)
#endif
#define STOPPED_BY(row, other) (HELD_BY(row, other) || RESTS_BY(row, other))
#define HELD_BACK(row) (STOPPED_BY(row, 0) || STOPPED_BY(row, 1) || STOPPED_BY(row, 2))
#define PASSED_OVER(row) false
#define READ_BY_ID(row) false
#endif

inline look(row) {
  if
  :: VISIBLE(row) && (id[row] > from || READ_BY_ID(row)) ->
     if :: HELD_BACK(row) :: else -> ADD(rows, row) fi;
     if :: id[row] - 1 < below && !PASSED_OVER(row) -> below = id[row] - 1 :: else fi;
     if :: id[row] > seen -> seen = id[row] :: else fi
  :: else
  fi
}

/* One statement: the rows above `start`, and from the same snapshot whether the floor may rise. */
inline read(start) {
  from = start; rows = 0; below = 15; seen = cursor;
  look(0); look(1); look(2);
  if
  :: from == floor && candidate > 0 && PASSED(floorMark) ->
#ifndef WITHOUT_FLOOR_BELOW_ROWS
     if :: below < candidate -> candidate = below :: else fi;
#endif
     if :: candidate > floor -> floor = candidate :: else fi;
     candidate = 0; floorMark = 0
  :: else
  fi;
  cursor = seen;
  from = 0; below = 0; seen = 0
}

#if defined(KEYED) && !defined(WITHOUT_WAVES)
#define BEHIND(row, other) (HAS(rows, other) && KEY(other) == KEY(row) && id[other] < id[row])
#else
#define BEHIND(row, other) false
#endif

/* Of each key only the first row goes; the next one goes when that is confirmed. */
inline chooseForWave(row) {
  if
  :: HAS(rows, row) && !BEHIND(row, 0) && !BEHIND(row, 1) && !BEHIND(row, 2) -> ADD(wave, row)
  :: else
  fi
}

inline send(row) {
  if
  :: HAS(wave, row) ->
     if :: atomic { connected[r] -> wire[r]!row } :: !connected[r] fi
  :: else
  fi
}

#ifdef ABANDONS
#define OVERDUE (abandons > 0)
#else
#define OVERDUE false
#endif
#define ANSWERED(row) (!HAS(wave, row) || answers[r].to[row] != none)

/*
 * The rows that were passed over are to be read, also if a read that is on its way has passed over them. They are above
 * where the floor was when the destination closed.
 */
inline open() {
  closed = false;
#ifndef WITHOUT_GOING_BACK
  if :: above < floor -> floor = above :: else fi;
#endif
  above = 0;
#ifndef WITHOUT_DROPPING_OLD_READS
  lifted = 0
#endif
}

/* What such a read brings is on its way from then on, and what was on its way when it was sent may come back. */
inline stayBelow(row) {
  if
#ifndef WITHOUT_FLOOR_BELOW_FLIGHT
  :: VISIBLE(row) && !PASSED_OVER(row) && id[row] - 1 < lifted -> lifted = id[row] - 1
#else
  :: VISIBLE(row) && !PASSED_OVER(row) && id[row] - 1 < lifted && !HAS(wave, row) -> lifted = id[row] - 1
#endif
  :: else
  fi
}

#ifndef KEYED
#define OPENS(row) HAS(due, row)
#define IS_PROBE(row) (!closed || HAS(due, row))
#define CLOSE if :: !closed -> closed = true; above = floor :: else fi
#else
#define OPENS(row) false
#define IS_PROBE(row) true
#define CLOSE skip
#endif

/* A row that got neither answer may be out: it stays. */
inline settle(row) {
  if
  :: HAS(wave, row) && answers[r].to[row] == confirmed ->
     ADD(out, row);
     if :: OPENS(row) -> open() :: else fi;
     DROP(due, row)
  :: HAS(wave, row) && answers[r].to[row] == refused ->
     if
     :: IS_PROBE(row) -> ADD(held, row); CLOSE
#ifdef KEYED
     :: ADD(left, row) /* one too many to be held: it rests, and its key, until the next round */
#endif
     :: else
     fi;
     DROP(due, row)
#ifdef WITHOUT_CONFIRMS
  :: HAS(wave, row) && answers[r].to[row] == none -> ADD(out, row)
#endif
  :: else
  fi;
  answers[r].to[row] = none
}

inline remove(row) {
  if
  :: HAS(out, row) ->
     assert(published[row]); /* KEPT */
     deleted[row] = true
  :: else
  fi
}

/* Refused too often, the row is out of the lane. */
inline park(row) {
  if :: HAS(held, row) -> deleted[row] = true :: else fi
}

inline forget() {
  floor = 0; cursor = 0; candidate = 0; floorMark = 0; mark = 0; rows = 0; wave = 0; out = 0; held = 0; due = 0;
  left = 0; closed = false; lifted = 0; above = 0
}

proctype Relay(byte r) provided (!dead[r]) {
  byte floor, cursor, candidate, floorMark, from, below, seen, mark;
  byte rows, wave, out, held, due, left, lifted, above, known;
  bool closed, abandoned;
#ifdef ABANDONS
  byte moved;
#endif

link:
  atomic { !connected[r] && !cutOff[r] -> connected[r] = true };

own: /* its own lane, or that of a neighbour who is gone: a lane without an owner is anybody's */
  if
#ifndef WITHOUT_OWNER
  :: atomic { lock == NOBODY && stopping != r -> lock = r }
  :: stopping == r -> goto ended
#else
  :: atomic { lock != r -> lock = r }
#endif
  :: !connected[r] -> goto link
  fi;
#ifndef WITHOUT_FORGETTING
  atomic { forget(); known = file };
#endif

fence:
#if defined(KEYED) && !defined(WITHOUT_EXCLUSIVE_QUEUE)
  if
  :: atomic { connected[r] && exclusive == NOBODY -> exclusive = r }
  :: stopping == r -> goto leave
  :: !connected[r] -> goto unlinked
  :: lock != r -> goto fenced
  fi;
#endif
  atomic { OWNED; asleep = false };

turn:
  if :: !connected[r] -> goto unlinked :: stopping == r -> goto leave :: else fi;
#if defined(KEYED) && !defined(WITHOUT_READS_AT_THE_FLOOR)
  atomic { OWNED; read(floor) };
#else
  atomic {
    OWNED;
    if :: from = floor :: from = cursor fi;
    read(from)
  };
#endif
  if :: candidate == 0 -> atomic { OWNED; candidate = cursor; floorMark = FLOOR_MARK } :: else fi;
  if
#ifndef WITHOUT_NEXT_ROUND
  :: rows == 0 && held == 0 && left == 0 -> goto arm
  :: rows == 0 && left != 0 -> left = 0; goto turn
#else
  :: rows == 0 && held == 0 -> goto arm
#endif
  :: rows == 0 && held != 0 -> /* the backoff is over */
     atomic { due = due | held; held = 0 };
     goto turn
#ifndef KEYED
  :: rows == 0 && held != 0 ->
     atomic {
       OWNED;
       park(0); park(1); park(2); held = 0;
#ifndef WITHOUT_OPENING_WHEN_PARKED
       open()
#endif
     };
     goto turn
#endif
  :: else
  fi;

publish:
#if defined(ABANDONS) && !defined(WITHOUT_WAITING_FOR_THE_FORMER)
  if :: atomic { empty(former[r]) -> abandoned = false } :: !connected[r] -> goto unlinked :: stopping == r -> goto leave fi;
#endif
  /* nothing here asks the database: a relay that was frozen writes what it had read */
  atomic { chooseForWave(0); chooseForWave(1); chooseForWave(2); rows = 0 };
  send(0); send(1); send(2);
#ifndef KEYED
  if /* the next read is sent meanwhile, and answered when these have ended; it matters where one may come back */
  :: atomic {
       (closed || faults > 0 || !connected[r]) && candidate > 0 && PASSED(floorMark) -> OWNED;
       lifted = candidate; candidate = 0; floorMark = 0;
       stayBelow(0); stayBelow(1); stayBelow(2);
       if :: lifted <= floor -> lifted = 0 :: else fi
     }
  :: true
  fi;
#endif
  atomic {
    (ANSWERED(0) && ANSWERED(1) && ANSWERED(2)) || !connected[r] || stopping == r || OVERDUE ->
#ifdef ABANDONS
    if
    :: !(ANSWERED(0) && ANSWERED(1) && ANSWERED(2)) && connected[r] && OVERDUE ->
       abandons--; abandoned = true; excused = true;
       do :: wire[r]?moved -> former[r]!moved :: empty(wire[r]) -> break od;
       moved = 0
    :: else
    fi;
#endif
    if :: !(ANSWERED(0) && ANSWERED(1) && ANSWERED(2)) && connected[r] -> /* it gives up to wait for a confirm */
       abandoned = true; excused = true
    :: else fi;
    settle(0); settle(1); settle(2);
    if :: lifted > floor -> floor = lifted :: else fi;
    lifted = 0; wave = 0
  };

delete:
  if :: stopping == r -> goto leave :: else fi;
  atomic {
    OWNED;
    if
    :: remove(0); remove(1); remove(2);
       out = 0
    :: faults > 0 && out != 0 ->
       faults--;
#ifndef WITHOUT_DELETE_FIRST
       goto delete
#else
       out = 0
#endif
    fi
  };
  goto turn;

arm:
#ifndef WITHOUT_BELL
  atomic { OWNED; asleep = true };
#endif
  atomic { OWNED; mark = BELL_MARK };

again: /* one statement: is there a row, and have all ended that may have seen the bell before it was set? */
#ifndef WITHOUT_READ_AFTER_ARMING
  atomic {
    OWNED;
#ifndef WITHOUT_WATCHING_IDS
    if :: file != known -> endSession(); goto fenced :: else fi;
#endif
    read(floor);
    if
    :: rows != 0 -> mark = 0; goto woken
#ifndef WITHOUT_WAITING_FOR_THE_MARK
    :: rows == 0 && !PASSED(mark) -> goto again
    :: rows == 0 && PASSED(mark) -> mark = 0
#else
    :: rows == 0 -> mark = 0
#endif
    fi
  };
#endif

sleep:
  if
  :: atomic { rung[r] -> rung[r] = false }; goto wake
  :: !connected[r] -> goto unlinked
  :: stopping == r -> goto leave
  :: lock != r -> goto fenced
  fi;

woken:
  atomic { OWNED; asleep = false };
  goto publish;

wake:
  atomic { OWNED; asleep = false };
  goto turn;

unlinked: /* the broker is gone, the lane is still ours */
  if
  :: atomic { !connected[r] && !cutOff[r] -> connected[r] = true }; goto fence
#ifndef WITHOUT_GIVING_UP
  :: atomic { lock == r -> endSession() }; goto link
#endif
  :: lock != r -> goto fenced
  fi;

fenced: /* the lane is gone: the connection goes too, since its exclusive queue is in the heir's way */
#ifndef WITHOUT_LETTING_GO
  atomic { closeConnection(r) };
  goto link;
#else
  if :: connected[r] -> goto own :: else -> goto link fi;
#endif

leave: /* its session and its connection may last: it has its own lane to empty */
#ifndef WITHOUT_ENDING_WITH_ABANDONED
  if
  :: abandoned ->
     atomic { closeConnection(r); if :: lock == r -> endSession() :: else fi };
     goto ended
  :: else
  fi;
#endif
#ifdef WITHOUT_LOCK_LAST
  atomic { OWNED; endSession() };
#else
  atomic { OWNED };
#endif
#ifndef WITHOUT_DELETING_BEFORE_LEAVING
  atomic { remove(0); remove(1); remove(2); out = 0 };
#endif
#ifndef WITHOUT_FREEING_THE_QUEUE
  atomic { if :: exclusive == r -> exclusive = NOBODY :: else fi };
#endif
#if !defined(WITHOUT_LOCK_LAST) && !defined(WITHOUT_FREEING_THE_LOCK)
  atomic { if :: lock == r -> endSession() :: else fi };
#endif

ended:
  skip
}

/* ASLEEP: when nothing can move any more, no committed row waits. */
active proctype Monitor() {
  timeout -> assert(!WAITING)
}

init {
  atomic {
    run Relay(0); run Writer(0); run Writer(1);
    if :: ROWS == 3 -> run Writer(2) :: else fi
  };
  /* The two are alike, so the first one to own the lane may have the lower number. */
  atomic {
    lock == 0 || excused || stopping == 0 -> run Relay(1)
  }
}
