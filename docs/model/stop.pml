/*
 * The stops of two relays: who takes what the other one leaves. README.md beside this file says what is proved and which
 * rule holds up which property.
 *
 * Each relay has a lane of its own, of its number, and either of them may have that of the ordering keys, KEYS, and that
 * of the other one while it has no owner. How a lane is carried and let go is in lane.pml: here what its owner carries is
 * gone in one step. All lanes hold rows at first. LATER is how many come while the relays work and stop, FAULTS how many
 * sessions and connections are lost while one stops. Each rule can be taken away with -DWITHOUT_<RULE>, and then a property
 * fails.
 */

#ifndef FAULTS
#define FAULTS 0
#endif
#ifndef LATER
#define LATER 1
#endif
#define KEYS 2
#define NOBODY 9
#define BIT(number) (1 << (number))
#define HAS(set, number) (((set) & BIT(number)) != 0)
#define ADD(set, number) set = set | BIT(number)
#define DROP(set, number) set = set & ~BIT(number)

/* ---- Postgres ---- */

/* A session has the number of its relay, and this one when only its client has lost it, and it lives on. */
#define FORMER(relay) ((relay) + 2)
byte owner[3] = NOBODY;         /* by lane: the session that holds its lock */
byte adopting = 0, leaving = 0; /* the sessions that share the locks of neighbours, as sets */
byte living = 0;                /* the sessions that are there, as a set */
byte rows = 7;                  /* the lanes that hold rows, as a set */
byte early = 7;                 /* those with a row that a relay is to carry before it ends */
byte had[2];                    /* by relay: the lanes that sessions owned which it has lost, as a set */

#define ALIVE HAS(living, r)

inline endSession(session) {
  DROP(living, session); DROP(adopting, session); DROP(leaving, session);
  if :: owner[0] == session -> owner[0] = NOBODY :: else fi;
  if :: owner[1] == session -> owner[1] = NOBODY :: else fi;
  if :: owner[KEYS] == session -> owner[KEYS] = NOBODY :: else fi
}

#define OWNED_BY(relay, lane) (owner[lane] == relay -> BIT(lane) : 0)

inline noteHad(relay) {
  if :: !HAS(ended, relay) -> had[relay] = had[relay] | OWNED_BY(relay, 0) | OWNED_BY(relay, 1) | OWNED_BY(relay, KEYS) :: else fi
}

/* It lives on, with all its locks, while its relay knows nothing of it any more. */
inline outlive(relay) {
  DROP(living, relay); ADD(living, FORMER(relay));
  if :: HAS(adopting, relay) -> DROP(adopting, relay); ADD(adopting, FORMER(relay)) :: else fi;
  if :: HAS(leaving, relay) -> DROP(leaving, relay); ADD(leaving, FORMER(relay)) :: else fi;
  if :: owner[0] == relay -> owner[0] = FORMER(relay) :: else fi;
  if :: owner[1] == relay -> owner[1] = FORMER(relay) :: else fi;
  if :: owner[KEYS] == relay -> owner[KEYS] = FORMER(relay) :: else fi
}

/* ---- What happens to the relays ---- */

byte told = 0, ended = 0;  /* those that were told to stop, and those that have ended, as sets */
byte linked = 3;           /* those that have a way to RabbitMQ */
byte faults = FAULTS;

/* The two are alike, so the first one that is told may have the lower number. */
active proctype Stops() {
  do
  :: atomic { !HAS(told, 0) -> ADD(told, 0) }
  :: atomic { HAS(told, 0) && !HAS(told, 1) -> ADD(told, 1) }
  :: break
  od
}

/*
 * What comes into a relay's own lane before it is told to stop it carries, or whoever owns the lane; what has a key, one
 * of those who work.
 */
active proctype Writer() {
  byte later = LATER;
  do
  :: atomic { later > 0 -> later--; ADD(rows, 0); if :: !HAS(told, 0) -> ADD(early, 0) :: else fi }
  :: atomic { later > 0 -> later--; ADD(rows, 1); if :: !HAS(told, 1) -> ADD(early, 1) :: else fi }
  :: atomic { later > 0 -> later--; ADD(rows, KEYS); if :: told != 3 -> ADD(early, KEYS) :: else fi }
  :: later = 0; break
  od
}

inline strike(relay) {
  if
  :: HAS(living, relay) -> faults--; noteHad(relay); endSession(relay) /* its session */
  :: HAS(living, relay) && !HAS(living, FORMER(relay)) ->             /* its way to Postgres */
     faults--; noteHad(relay); outlive(relay)
  :: HAS(linked, relay) && !HAS(ended, relay) ->                      /* its connection to RabbitMQ */
     faults--; DROP(linked, relay)
  :: faults--;                                                        /* Postgres crashes */
     noteHad(0); noteHad(1); endSession(0); endSession(1); endSession(FORMER(0)); endSession(FORMER(1))
  :: faults = 0
  fi
}

active proctype Misfortune() {
  do
  :: atomic { told != 0 && faults > 0 -> strike(0) }
  :: atomic { told != 0 && faults > 0 -> strike(1) }
  :: atomic { HAS(living, FORMER(0)) -> endSession(FORMER(0)) }
  :: atomic { HAS(living, FORMER(1)) -> endSession(FORMER(1)) }
  :: atomic { !HAS(linked, 0) -> ADD(linked, 0) }
  :: atomic { !HAS(linked, 1) -> ADD(linked, 1) }
  od
}

/* ---- A relay ---- */

#define OTHER (1 - r)
#define CAN_WORK (ALIVE && HAS(linked, r))
#define OWNS(lane) (owner[lane] == r)
#define TAKES(lane) CAN_WORK && owner[lane] == NOBODY -> owner[lane] = r; DROP(done, lane)
#define CARRIES(lane) CAN_WORK && OWNS(lane) && HAS(rows, lane) && !HAS(done, lane) -> DROP(rows, lane); DROP(early, lane)
#define FREES(lane) ALIVE && OWNS(lane) -> owner[lane] = NOBODY

/* A statement of the session finds out whether that is still there. */
#define STATEMENT if :: ALIVE :: else -> goto lost fi

#define IS_LEAVING(session) (session != NOBODY && HAS(leaving, session))
#ifndef WITHOUT_WAITING_FOR_WHO_LEAVES
#define IS_LEFT(lane) (HAS(rows, lane) && (owner[lane] == NOBODY || IS_LEAVING(owner[lane])))
#else
#define IS_LEFT(lane) (HAS(rows, lane) && owner[lane] == NOBODY)
#endif
/* What one that is alone takes at its stop. */
#ifndef WITHOUT_TAKING_WHAT_IT_HAD
#define OTHER_IS_LEFT (HAS(had[r], OTHER) && IS_LEFT(OTHER))
#else
#define OTHER_IS_LEFT false
#endif
#define DONE_WITH(lane) (!OWNS(lane) || HAS(done, lane))
#define ALL_DONE (ALIVE && DONE_WITH(r) && DONE_WITH(OTHER) && DONE_WITH(KEYS))

proctype Relay(byte r) {
  bool alone, searched;
  bool looked; /* once more, at its end */
  byte done; /* the lanes that came to their end, as a set: nobody looks into them any more */

session:
  atomic { ADD(living, r); alone = false; searched = false; looked = false; done = 0; if :: HAS(told, r) -> goto stop :: else fi };
  atomic { STATEMENT; ADD(adopting, r) };

work:
  do
  :: HAS(told, r) -> goto stop
  :: !ALIVE -> goto lost
  :: atomic { TAKES(r) }
  :: atomic { TAKES(KEYS) }
  :: atomic { HAS(rows, OTHER) && TAKES(OTHER) }
  :: atomic { CARRIES(r) }
  :: atomic { CARRIES(OTHER) }
  :: atomic { CARRIES(KEYS) }
  :: atomic { !HAS(rows, OTHER) && FREES(OTHER) }
  :: atomic { !HAS(linked, r) && FREES(r) } /* all that it has, after a time */
  /* A lane of a pod that has gone waits for the next relay then. */
  :: atomic { !HAS(linked, r) && FREES(OTHER); if :: HAS(told, OTHER) -> DROP(early, OTHER) :: else fi }
  :: atomic { !HAS(linked, r) && FREES(KEYS) }
  od;

stop:
#ifndef WITHOUT_WAITING_FOR_ITS_FORMER
  if :: !HAS(living, FORMER(r)) :: !ALIVE -> goto lost fi;
#endif

look:
#ifdef WITHOUT_EMPTYING_ALL
  atomic { STATEMENT; DROP(adopting, r); ADD(leaving, r) };
#elif defined(WITHOUT_LEAVING_BEFORE_LOOKING)
  atomic { STATEMENT; alone = ((adopting & ~BIT(r)) == 0) };
  atomic { STATEMENT; DROP(adopting, r); ADD(leaving, r) };
#else
  atomic { STATEMENT; DROP(adopting, r); ADD(leaving, r); alone = (adopting == 0) };
#endif
  if :: alone -> atomic { STATEMENT; DROP(leaving, r) } :: else fi;

#ifndef WITHOUT_TAKING_ITS_OWN
  if
  :: OWNS(r)
  :: atomic { CAN_WORK && !OWNS(r) -> if :: owner[r] == NOBODY -> owner[r] = r; DROP(done, r) :: else fi }
  :: ALIVE && !HAS(linked, r) && !OWNS(r) && !HAS(rows, r)
  :: !ALIVE -> goto lost
  fi;
#endif

drain:
  do
  :: !ALIVE -> goto lost
  :: atomic { CARRIES(r) }
  :: atomic { alone && CARRIES(OTHER) }
  :: atomic { alone && CARRIES(KEYS) }
  :: atomic { ALIVE && OWNS(r) && !HAS(rows, r) && !HAS(done, r) -> ADD(done, r) }
  :: atomic { alone && ALIVE && OWNS(OTHER) && !HAS(rows, OTHER) && !HAS(done, OTHER) -> ADD(done, OTHER) }
  :: atomic { alone && ALIVE && OWNS(KEYS) && !HAS(rows, KEYS) && !HAS(done, KEYS) -> ADD(done, KEYS) }
  :: atomic { !alone && FREES(OTHER) }
  :: atomic { !alone && FREES(KEYS) }
#ifndef WITHOUT_TAKING_THE_REST
  :: atomic { alone && !searched && HAS(rows, KEYS) && TAKES(KEYS) }
#endif
  :: atomic { alone && !searched && HAS(rows, r) && TAKES(r) }
  :: atomic { alone && !searched && OTHER_IS_LEFT && TAKES(OTHER) }
  :: atomic { ALIVE && !searched && (!alone || !(IS_LEFT(r) || IS_LEFT(KEYS) || OTHER_IS_LEFT)) -> searched = true }
#ifndef WITHOUT_LEAVING_AGAIN
  :: ALIVE && alone && !looked && (adopting & ~BIT(r)) != 0 -> goto look
#else
  :: atomic { ALIVE && alone && !looked && (adopting & ~BIT(r)) != 0 -> alone = false }
#endif
  :: searched && looked && ALL_DONE -> break
#ifndef WITHOUT_LOOKING_ONCE_MORE
  :: searched && !looked && alone && ALL_DONE -> goto last
  :: searched && !looked && !alone && ALL_DONE -> break
#else
  :: searched && !looked && ALL_DONE -> break
#endif
  od;
  goto over;

last: /* it counts as one that leaves from now on, and of those that it keeps it carries what has come meanwhile */
#ifndef WITHOUT_LEAVING_AT_LAST
  atomic { STATEMENT; ADD(leaving, r); alone = (adopting == 0); looked = true };
#else
  atomic { STATEMENT; looked = true };
#endif
  atomic {
    STATEMENT;
    if :: alone && OWNS(OTHER) && HAS(rows, OTHER) -> DROP(done, OTHER) :: else fi;
    if :: alone && OWNS(KEYS) && HAS(rows, KEYS) -> DROP(done, KEYS) :: else fi
  };
  goto drain;

lost:
#ifdef WITHOUT_COMING_BACK
  if :: HAS(told, r) -> goto over :: else fi;
#endif
  goto session;

over:
  atomic { endSession(r); ADD(ended, r); had[r] = 0; alone = false; searched = false; looked = false; done = 0 }
}

/* When nothing can move any more. */
active proctype Monitor() {
  timeout -> assert(early == 0); /* LEFT */
  assert(ended == told)          /* OVER */
}

init {
  atomic { run Relay(0); run Relay(1) }
}
