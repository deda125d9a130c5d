"""What the model's steps are called: the functions of the code that take them.

A step of the world around the code is a sentence, which no function can be called.
"""

from enum import IntEnum

_STORE = "overview_worker.store"

# Studio, or whoever publishes
MARK = "lms_integration.marks.mark_courses"
COMMIT_MARK = "lms_integration.announcements.announce"
PUBLISH_EVENT = "lms_integration.publisher.publish_event"

# The intake
RECEIVE = "overview_worker.intake.Intake.run"
MARK_EVENTS = "overview_worker.intake_store.DjangoIntakeStore.mark_events"
ENQUEUE = "overview_worker.queueing.RebuildQueue.enqueue"
ACKNOWLEDGE = "kombu.message.Message.ack"

# A worker, in the order of a rebuild
TAKE_TASK = "overview_worker.tasks.rebuild_overview_task"
LOCK = f"{_STORE}.locking.CourseLocks.take"
FIND_STATE = f"{_STORE}.locking.CourseLocks._missing"
CREATE_STATE = f"{_STORE}.overview_store.DjangoOverviewStore._create_states"
READ_MARK = f"{_STORE}.locking.CourseLocks._with_marks"
FIND = "overview_worker.ports.Modulestore.find_published"
READ = "overview_worker.ports.Modulestore.read_published"
WRITE = f"{_STORE}.transaction.DjangoRebuildTransaction.apply"
DONE = f"{_STORE}.mark_statements.mark_done"
POSTPONE = f"{_STORE}.mark_statements.postpone"
COMMIT = f"{_STORE}.overview_store.DjangoOverviewStore.transaction"
POSTPONE_OUTSIDE = f"{_STORE}.overview_store.DjangoOverviewStore.postpone"
LOOK_AGAIN = f"{_STORE}.overview_store.DjangoOverviewStore.still_dirty"
END_TASK = "overview_worker.rebuild.rebuild_overviews"

# The sweeper
TAKE_DUE = f"{_STORE}.overview_store.DjangoOverviewStore.take_due"
LEASE = f"{_STORE}.mark_statements.lease"
SWEEP = "overview_worker.sweeper.sweep"

# The inspector
INSPECT = "overview_worker.inspector.Inspector.inspect"
ENQUEUE_BULK = "overview_worker.queueing.RebuildQueue.enqueue_bulk"

FUNCTIONS = (
    MARK,
    COMMIT_MARK,
    PUBLISH_EVENT,
    RECEIVE,
    MARK_EVENTS,
    ENQUEUE,
    ACKNOWLEDGE,
    TAKE_TASK,
    LOCK,
    FIND_STATE,
    CREATE_STATE,
    READ_MARK,
    FIND,
    READ,
    WRITE,
    DONE,
    POSTPONE,
    COMMIT,
    POSTPONE_OUTSIDE,
    LOOK_AGAIN,
    END_TASK,
    TAKE_DUE,
    LEASE,
    SWEEP,
    INSPECT,
    ENQUEUE_BULK,
)

# The world
SAVE = "the course index changes"
ROLL_BACK = "the transaction is rolled back"
ANNOUNCE_EARLY = "a platform announces what it has not committed"
LOSE_EVENT = "the event is lost"
REPEAT_EVENT = "the event comes twice"
DIE = "the process dies"
DIE_AND_LOSE_TASK = "the process dies and its task is lost"
LOSE_CONNECTION = "the connection to the database breaks"
LOSE_LOCK = "the lock expires"
LOSE_MODULESTORE = "the modulestore does not answer"
LOSE_DATABASE = "the database does not answer"
WAIT = "the time of the next attempt comes"
WAIT_A_MINUTE = "the course has been dirty for a minute"


class Kind(IntEnum):
    """What a step is to the question whether everything comes right in the end."""

    STEP = 0  #: the code goes on
    TIME = 1  #: time passes, or what runs once a minute runs
    FAULT = 2  #: something goes wrong; it need not
    CHANGE = 3  #: somebody edits the course
