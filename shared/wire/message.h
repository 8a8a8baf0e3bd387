/*
 * message: the frames that clients and nodes exchange, as structs, and their codecs.
 *
 * message.c holds what every frame shares, message_data.c reads, writes, scans and replicates,
 * message_member.c what nodes say to each other about themselves, message_repair.c how people start
 * and watch the comparing of replicas, message_tree.c how two owners of a partition do it,
 * message_reap.c the rounds of reaping.
 *
 * A frame is one CopyData payload: type (1 byte), tag (4 bytes, chosen by the asker and repeated in
 * the answer), body. Decoders borrow byte strings from the frame and allocate arrays in the arena;
 * they return false on bytes that no encoder makes. Anything a node refuses as a whole is answered
 * by FRAME_ERROR.
 */
#ifndef SHARED_WIRE_MESSAGE_H
#define SHARED_WIRE_MESSAGE_H

#include "shared/base/hash.h"
#include "shared/base/status.h"
#include "shared/data/update.h"
#include "shared/data/version.h"
#include "shared/ring/topology.h"

enum
{
    MESSAGE_PROTOCOL = 1, /* the number in "STREAM 1" */
    MESSAGE_HEADER_BYTES = 5,
    MESSAGE_FRAME_MAX = 64 * 1024 * 1024, /* that travels whole: what a client may send */
    MESSAGE_LIFE_MS = 10000 /* after which a write is stamped no more: less than RECALL_MS */
};

typedef enum FrameType
{
    FRAME_ERROR = 1,
    FRAME_TOPOLOGY_FETCH,
    FRAME_TOPOLOGY,
    FRAME_READ,
    FRAME_READ_REPLY,
    FRAME_WRITE,
    FRAME_WRITE_REPLY,
    FRAME_SCAN,
    FRAME_SCAN_REPLY,
    FRAME_BUCKET_CREATE, /* answered by FRAME_TOPOLOGY without a document */
    FRAME_NODE_STATUS,
    FRAME_NODE_STATUS_REPLY,
    FRAME_REPLICATE, /* from here on between nodes only */
    FRAME_REPLICATE_REPLY,
    FRAME_HELLO,
    FRAME_HELLO_REPLY,
    FRAME_PREPARE,
    FRAME_PROMISE,
    FRAME_ACCEPT,
    FRAME_ACCEPTED,
    FRAME_CHOSEN,
    FRAME_CHUNK,  /* of a large frame: see shared/wire/chunk.h */
    FRAME_REPAIR, /* of admins; the one below of any client */
    FRAME_REPAIR_REPLY,
    FRAME_REPAIR_STATUS,
    FRAME_REPAIR_STATUS_REPLY,
    FRAME_TREE_ROOTS,
    FRAME_TREE_ROOTS_REPLY,
    FRAME_TREE_LEVEL,
    FRAME_TREE_LEVEL_REPLY,
    FRAME_TREE_KEYS,
    FRAME_TREE_KEYS_REPLY,
    FRAME_VERSIONS,
    FRAME_VERSIONS_REPLY,
    FRAME_REAP_PREPARE, /* from here on rounds of reaping, between nodes: see
                           node/engine/repair/reaping.h */
    FRAME_REAP_PREPARE_REPLY,
    FRAME_REAP_RAISE,
    FRAME_REAP_ROWS,
    FRAME_REAP_DONE, /* answers the two before */
    FRAME_REAP_ROUNDS,
    FRAME_REAP_ROUNDS_REPLY,
    FRAME_REAP_NOTICE, /* without an answer */
    FRAME_BUCKET_DROP, /* of admins; answered as FRAME_BUCKET_CREATE */
    FRAME_PLAN,        /* of admins; answered as FRAME_BUCKET_CREATE */
    FRAME_TYPE_END
} FrameType;

typedef struct Frame
{
    FrameType type;
    uint32_t tag;
    Slice body;
} Frame;

/* Splits a frame; false when it is too short or its type is unknown. */
bool frame_decode(Slice bytes, Frame *frame);

/* The frame with a copy of its body in the arena, so that it outlives the call that brought it. */
Frame frame_copy(Arena *arena, const Frame *frame);
void frame_encode_header(Buffer *buffer, FrameType type, uint32_t tag);
const char *frame_type_name(FrameType type);

/* How long the sender of a read or a write waits, as the frame says; 0 when it does not. */
uint32_t frame_timeout_ms(const Frame *frame);

/* True for a type that a client may send; the others need the role of a node. Of these types, true
 * for one that only an admin may send; no node sends those. */
bool frame_is_for_clients(FrameType type);
bool frame_is_for_admins(FrameType type);

typedef struct ErrorFrame
{
    StatusCode status;
    Slice message; /* a sentence; may be empty: status_text then serves */
} ErrorFrame;

/* The frame's tag names the frame that the piece is of. */
typedef struct ChunkFrame
{
    bool last;
    Slice piece; /* not empty */
} ChunkFrame;

typedef struct BucketDrop
{
    uint32_t bucket_id;
} BucketDrop;

typedef enum PlanDeed
{
    PLAN_STAGE,
    PLAN_COMMIT,
    PLAN_CLEAR
} PlanDeed;

/* What is to be done with the plan of changes to members (shared/ring/plan.h). */
typedef struct PlanFrame
{
    PlanDeed deed;
    uint64_t plan;       /* PLAN_COMMIT: which one, or 0: whichever it is */
    StagedChange change; /* PLAN_STAGE; its slots are of no account */
    const char *node;    /* PLAN_STAGE: whom it is about */
    const char *with;    /* of STAGED_REPLACE; else "" */
} PlanFrame;

typedef struct TopologyFetch
{
    uint64_t have_epoch; /* 0: none */
} TopologyFetch;

typedef struct TopologyFrame
{
    uint64_t epoch;
    Slice
        document; /* topology_encode's bytes; empty when the asker has this epoch or a newer one */
} TopologyFrame;

typedef enum ReadMode
{
    READ_FULL = 1,   /* this node's own object */
    READ_DIGEST,     /* the digest of this node's own object */
    READ_COORDINATED /* the node reads from r owners, merges, repairs, and answers the merge */
} ReadMode;

typedef struct ReadFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    ReadMode mode;
    uint32_t r;
    uint32_t pr; /* how many of the r must be owners */
    uint32_t timeout_ms;
    bool seal;         /* give sealed contexts beside full objects */
    bool repair_later; /* coordinated: answer before the stale owners are mended */
    bool whole;        /* full, for nodes: objects with what was replaced */
    Slice *keys;
    uint32_t key_count;
} ReadFrame;

typedef struct ReadItem
{
    StatusCode status;
    Slice object;   /* empty, or its identity is: absent */
    Digest digest;  /* of the object; sent in digest mode only, computed by the decoder otherwise */
    Slice context;  /* sealed; empty unless asked for */
    uint64_t round; /* full: the object's label (node/engine/store/rounds.h) */
    uint64_t floor; /* full: what was reaped there may be as new as this label, and no newer */
    uint32_t
        held; /* coordinated: bit i: the answer counts on the key's i-th member, which has it */
} ReadItem;

typedef struct ReadReply
{
    ReadMode mode;
    uint64_t clock_ms; /* as WriteReply */
    ReadItem *items;   /* in the order of the keys asked */
    uint32_t item_count;
} ReadReply;

typedef struct WriteItem
{
    Slice key;
    Slice context; /* sealed; empty: none */
    PutValue *values;
    uint32_t value_count;
} WriteItem;

/* Of its key, context and values. */
size_t write_item_bytes(const WriteItem *item);

typedef struct WriteFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    uint32_t w;        /* acknowledgements, a fallback's counting for the owner it stands in for */
    uint32_t pw;       /* of them by owners */
    uint32_t confirms; /* of them from so many zones; a member of no zone is one of its own */
    uint32_t timeout_ms;
    bool retry; /* may have been written before: look for the request ids first */

    /* The receiver's clock when this was sent, or sooner, as far as its answers tell; 0: unknown.
     */
    uint64_t clock_ms;
    uint32_t alone_ms; /* first frames: so long after that nobody else was sent the write */
    uint32_t age_ms;   /* retries: so long before that the write was first sent */
    WriteItem *items;
    uint32_t item_count;
} WriteFrame;

typedef struct WriteResult
{
    StatusCode status;
    uint32_t acked; /* bit i: the i-th member of the key's preference list has it durably */
    uint32_t
        siblings; /* that the write left under the key, when the node warns of so many; else 0 */
} WriteResult;

typedef struct WriteReply
{
    uint64_t clock_ms; /* the sender's own; for WriteFrame */
    WriteResult *items;
    uint32_t item_count;
} WriteReply;

/* A cursor in the order of a partition is a ring position (8 bytes, big-endian) and a key; with an
 * empty key it is before all rows of the position. */
typedef struct ScanFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    uint32_t partition;
    bool digest_only;
    bool seal;
    bool whole;    /* as ReadFrame */
    Slice after;   /* a ScanReply's last; empty: from the partition's start */
    Slice through; /* inclusive; empty: to the partition's end */
    uint32_t max_bytes;
} ScanFrame;

typedef struct ScanRow
{
    Slice key;
    Slice object;
    Slice context; /* sealed; empty unless asked for */
} ScanRow;

typedef struct ScanReply
{
    StatusCode status;
    bool done;      /* nothing of the asked range lies behind the page */
    Slice last;     /* unless done: the cursor that the page ends at, inclusive */
    uint64_t round; /* the rows' label (node/engine/store/rounds.h) */
    Digest digest;  /* XOR over rows of the digest of (key, object) */
    uint32_t row_count;
    ScanRow *rows; /* NULL in digest_only */
} ScanReply;

/* True when the page is the last, or ends behind where it began: with any other a scan would never
 * end. */
bool scan_reply_goes_on(const ScanReply *reply, Slice after);

/* The share of one row in ScanReply.digest. */
Digest message_row_digest(Slice key, Slice object);

/* May a node write? */
typedef enum DiskState
{
    DISK_WELL,
    DISK_FULL,  /* it may again once there is room */
    DISK_FAILED /* it may not before it is started anew */
} DiskState;

const char *disk_state_name(DiskState state);

typedef struct NodeStatus
{
    MemberId id;
    Slice name;
    uint64_t epoch;
    uint64_t uptime_ms;
    uint64_t rss_bytes;
    uint64_t disk_bytes;
    uint64_t keys_estimate;
    DiskState disk;
    Slice disk_why;      /* as HelloFrame has it */
    MemberId *reachable; /* members this node has a working link to, itself left out */
    uint32_t reachable_count;
} NodeStatus;

typedef struct ReplicateItem
{
    uint64_t ref;    /* the sender's; repeated in the answer */
    uint64_t placed; /* the epoch by which the receiver was chosen to have the object */
    uint32_t bucket_id;
    bool is_hinted; /* to be kept for hint_for, which is down */
    MemberId hint_for;
    uint64_t round; /* the object's label (node/engine/store/rounds.h) */
    Slice key;
    Slice object;
} ReplicateItem;

typedef struct ReplicateFrame
{
    uint64_t epoch; /* that the sender knows: no less than its items' */
    ReplicateItem *items;
    uint32_t item_count;
} ReplicateFrame;

typedef struct ReplicateResult
{
    uint64_t ref;
    StatusCode status;
    uint64_t round; /* STATUS_STALE_ROUND: what is labelled less is refused */
} ReplicateResult;

typedef struct ReplicateReply
{
    ReplicateResult *items;
    uint32_t item_count;
} ReplicateReply;

/* Asks for compares now, of replicas that are compared once in a while anyway. */
typedef struct RepairFrame
{
    uint64_t epoch;
    uint32_t bucket_id; /* 0: all */
    bool is_of_member;  /* with one member only: member; with itself: whatever this node shares */
    MemberId member;
} RepairFrame;

typedef struct RepairReply
{
    uint32_t queued; /* compares: of one partition of a bucket with one other owner */
} RepairReply;

/* How far a node has come with comparing one partition of a bucket with one other owner. */
typedef enum RepairState
{
    REPAIR_IDLE,
    REPAIR_WAITING, /* it is due, and not begun */
    REPAIR_COMPARING,
    REPAIR_CONFIRMING, /* keys differed; they are looked at again after a pause */
    REPAIR_MENDING,
    REPAIR_STATES
} RepairState;

/* "idle" and the like. */
const char *repair_state_name(RepairState state);

/* Counts and times are since the start of the process. */
typedef struct RepairStatus
{
    MemberId peer;
    uint32_t bucket_id;
    uint32_t partition;
    RepairState state;
    uint64_t compared_ms; /* wall clock of the last compare; 0: none yet */
    uint64_t equal_ms;    /* of the last one that found all equal, or mended; 0: none yet */
    uint64_t differences; /* keys that two successive compares found different */
    uint64_t mended_here;
    uint64_t mended_there;
    uint64_t bytes_sent;
    uint64_t bytes_received;
    uint32_t parts_done; /* of what is under way */
    uint32_t parts_total;
    uint64_t time_left_ms; /* of what is under way, once parts_done is not 0 */
    StatusCode failure;    /* of the last compare */
} RepairStatus;

enum
{
    REPAIR_STATUS_PAGE = 1024 /* rows that a reply has at most */
};

/* A page of a node's list. Pages are not of one moment: a topology that changes in between may
 * move rows. */
typedef struct RepairStatusFetch
{
    uint32_t first; /* the number of the page's first row */
} RepairStatusFetch;

typedef struct RepairStatusReply
{
    uint32_t total; /* rows of the whole list */
    RepairStatus *rows;
    uint32_t row_count; /* REPAIR_STATUS_PAGE, but for the last page */
} RepairStatusReply;

/* One run of a node's storage, from opening to end: drawn at random when it begins. */
typedef struct RunId
{
    uint8_t bytes[16];
} RunId;

/* What a data directory has come to: its run, and the number of its last durable commit. */
typedef struct DataMark
{
    RunId run; /* all zero: none */
    uint64_t commits;
} DataMark;

typedef struct Ballot
{
    uint64_t round; /* 0: none */
    MemberId proposer;
} Ballot;

int ballot_compare(const Ballot *a, const Ballot *b);
void ballot_encode(Buffer *buffer, const Ballot *ballot);
Ballot ballot_decode(Reader *reader);

/* How far a node's part in the decisions on topologies has come: later ones are greater. */
typedef struct VoteMark
{
    uint64_t epoch;  /* the topology it knows to be chosen; 0: none */
    Ballot promised; /* for the next one, as is the other */
    Ballot accepted;
} VoteMark;

int vote_mark_compare(const VoteMark *a, const VoteMark *b);
void vote_mark_encode(Buffer *buffer, const VoteMark *mark);
VoteMark vote_mark_decode(Reader *reader);

typedef enum DataState
{
    DATA_UNPROVEN, /* the sender does not know yet what the receiver remembers of its data */
    DATA_WHOLE,    /* its data hold all that the receiver remembers: HelloFrame.data may be too */
    DATA_REFILLING /* something was lost: it answers no read until it is filled */
} DataState;

/* What two nodes tell each other first, and then again and again; the answer has the same shape. */
typedef struct HelloFrame
{
    MemberId id;
    Slice name;
    Slice address;
    uint16_t port;
    Slice zone;
    uint32_t weight;
    uint32_t partitions;
    uint64_t epoch;      /* 0: in no cluster */
    uint8_t cluster[16]; /* which one; zeros: none */
    Slice seeds;         /* sorted host:port list, comma separated */
    DataMark data;
    DataState data_state;
    DataMark remembered; /* the last mark that the sender saw of the receiver's data */
    VoteMark votes;
    VoteMark votes_remembered; /* the highest that the sender saw of the receiver's */
    DiskState disk;
    Slice disk_why; /* for people; empty while it is well */
    bool ready;     /* joining: it may become an owner; leaving: it keeps nothing for others */
    Slice done; /* a bit a partition, as PlanProgress (shared/ring/plan.h) has it, of that epoch;
                       empty: nothing moves, or nothing is done */
} HelloFrame;

/* One shape for all frames of Paxos; a field that a type does not use is empty. */
typedef struct PaxosFrame
{
    uint64_t epoch; /* that the document is to become */
    Ballot ballot;  /* of the round this frame belongs to */
    bool ok; /* PROMISE, ACCEPTED: granted; when it is not, promised names the ballot in the way */
    Ballot promised;
    Ballot accepted; /* PROMISE: of document */
    Slice document;  /* ACCEPT, CHOSEN: proposed or chosen; PROMISE: accepted before, if any */
} PaxosFrame;

/* The root of one tree of the asker's; see node/engine/store/trees.h. */
typedef struct TreeRoot
{
    uint32_t bucket_id;
    uint32_t partition;
    Digest digest;
} TreeRoot;

typedef struct TreeRootsFrame
{
    uint64_t epoch;
    MemberId asker;
    TreeRoot *roots;
    uint32_t root_count;
} TreeRootsFrame;

typedef struct TreeDifference
{
    uint32_t index;    /* of the root, among those asked about */
    uint8_t depth;     /* of the answerer's leaves */
    StatusCode status; /* STATUS_OK: it has another root; any other: why it has none */
} TreeDifference;

/* The roots that are not equal, in the order asked. */
typedef struct TreeRootsReply
{
    TreeDifference *items;
    uint32_t item_count;
} TreeRootsReply;

/* Asks for what stands child_bits below each of some parts of one depth. */
typedef struct TreeLevelFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    uint32_t partition;
    uint8_t depth;
    uint8_t child_bits; /* 1 to TREE_CHILD_BITS_MAX */
    uint32_t *prefixes;
    uint32_t prefix_count;
} TreeLevelFrame;

enum
{
    TREE_CHILD_BITS_MAX = 8
};

/* By part asked, the digests of its 2^child_bits children; none at all when the answerer's tree is
 * not that deep. */
typedef struct TreeLevelReply
{
    Digest *digests;
    uint32_t digest_count;
} TreeLevelReply;

/* Asks which rows lie between two positions of one partition. */
typedef struct TreeKeysFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    uint64_t first_position; /* inclusive */
    uint64_t last_position;  /* inclusive */
    Slice after;             /* a TreeKeysReply's last; empty: from the first position */
    uint32_t max_bytes;      /* of the answer, about */
} TreeKeysFrame;

typedef struct TreeKey
{
    Slice key;
    Digest digest; /* of the object */
} TreeKey;

/* In the order of their cursors. */
typedef struct TreeKeysReply
{
    bool done;  /* there is nothing more behind these */
    Slice last; /* not done: the cursor that the page ends at */
    TreeKey *keys;
    uint32_t key_count;
} TreeKeysReply;

typedef struct VersionItem
{
    Slice key;
    Digest digest; /* of the asker's object; DIGEST_ABSENT: it has none */
    Version version;
} VersionItem;

/* Asks which of two objects is newer, for some keys that seemed to differ. */
typedef struct VersionsFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    VersionItem *items;
    uint32_t item_count;
} VersionsFrame;

typedef enum VersionVerdict
{
    VERSION_EQUAL = 1,
    VERSION_TAKE,  /* the answerer's object is newer: here it is */
    VERSION_GIVE,  /* the asker's is newer: the answerer wants it */
    VERSION_BOTH,  /* they are concurrent: here it is, and it wants the other */
    VERSION_LATER, /* the answer was full: ask again */
    VERSION_FAILED /* the answerer cannot read what it has */
} VersionVerdict;

typedef struct VersionAnswer
{
    VersionVerdict verdict;
    Slice object;   /* TAKE and BOTH alone */
    uint64_t round; /* with it: its label (node/engine/store/rounds.h) */
} VersionAnswer;

typedef struct VersionsReply
{
    VersionAnswer *items; /* in the order of the keys asked */
    uint32_t item_count;
} VersionsReply;

/* Why a round of reaping does not pass. */
typedef enum ReapVerdict
{
    REAP_CLEAN = 1,
    REAP_OLD_NUMBER,  /* the member has heard of this number, or of a higher one */
    REAP_OTHER_EPOCH, /* it knows another topology */
    REAP_MOVES,       /* by its topology the partition moves */
    REAP_REFILLING,
    REAP_STORAGE,
    REAP_HINTS,      /* it owes objects to other members */
    REAP_KEEPS_ROWS, /* of a partition that it does not own */
    REAP_BUSY,       /* with requests for keys of the partition */
    REAP_UNSETTLED,  /* its tree is not durable yet, or in doubt */
    REAP_DOWN,       /* from here on the coordinator's own findings */
    REAP_SILENT,
    REAP_DIFFERS, /* its rows are not those of the coordinator */
    REAP_REFUSED, /* it did not raise, or did not reap */
    REAP_VERDICTS
} ReapVerdict;

/* For people, about the member: "is down". */
const char *reap_verdict_text(ReapVerdict verdict);

typedef struct ReapPrepareFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
    uint32_t partition;
    uint64_t round;
} ReapPrepareFrame;

typedef struct ReapPrepareReply
{
    ReapVerdict verdict;
    uint64_t cleared; /* the highest number that it has heard of */
    Digest root;      /* of its tree, when clean */
    Actor actor;      /* of its present run */
} ReapPrepareReply;

typedef struct ReapRaiseFrame
{
    uint64_t epoch; /* of the round */
    uint32_t bucket_id;
    uint32_t partition;
    uint64_t round;
} ReapRaiseFrame;

typedef struct ReapRow
{
    Slice key;
    Digest digest; /* of the object */
    bool dead;     /* which is tombstones alone */
} ReapRow;

typedef struct ReapRowsFrame
{
    uint64_t epoch; /* likewise */
    uint32_t bucket_id;
    uint32_t partition;
    uint64_t round;
    Actor *live; /* the present runs of all members */
    uint32_t live_count;
    ReapRow *rows;
    uint32_t row_count;
} ReapRowsFrame;

typedef struct ReapDone
{
    bool ok;          /* raised, or every row reaped that was still the one named: durably */
    uint32_t changed; /* of the rows */
} ReapDone;

/* Asks how far the reaping of a bucket has come. */
typedef struct ReapRoundsFrame
{
    uint64_t epoch;
    uint32_t bucket_id;
} ReapRoundsFrame;

typedef struct ReapRound
{
    uint32_t partition;
    uint64_t round; /* as node/engine/store/rounds.h has it, as is the other */
    uint64_t cleared;
} ReapRound;

/* A partition that is not listed never had a round. */
typedef struct ReapRoundsReply
{
    bool whole; /* the answerer's data are not older than they once were, nor is its topology older
                   than the asker's, and it does not join itself */
    ReapRound *items;
    uint32_t item_count;
} ReapRoundsReply;

void reap_rounds_encode(Buffer *buffer, uint32_t tag, const ReapRoundsFrame *rounds);
bool reap_rounds_decode(const Frame *frame, ReapRoundsFrame *rounds);
void reap_rounds_reply_encode(Buffer *buffer, uint32_t tag, const ReapRoundsReply *reply);
bool reap_rounds_reply_decode(const Frame *frame, Arena *arena, ReapRoundsReply *reply);

/* Tells the receiver that its objects of the partition with that position have older labels than
 * others take: it has missed a round. */
typedef struct ReapNotice
{
    uint32_t bucket_id;
    uint64_t position;
    uint64_t round;
} ReapNotice;

void reap_notice_encode(Buffer *buffer, uint32_t tag, const ReapNotice *notice);
bool reap_notice_decode(const Frame *frame, ReapNotice *notice);
void reap_prepare_encode(Buffer *buffer, uint32_t tag, const ReapPrepareFrame *prepare);
bool reap_prepare_decode(const Frame *frame, ReapPrepareFrame *prepare);
void reap_prepare_reply_encode(Buffer *buffer, uint32_t tag, const ReapPrepareReply *reply);
bool reap_prepare_reply_decode(const Frame *frame, ReapPrepareReply *reply);
void reap_raise_encode(Buffer *buffer, uint32_t tag, const ReapRaiseFrame *raise);
bool reap_raise_decode(const Frame *frame, ReapRaiseFrame *raise);
void reap_rows_encode(Buffer *buffer, uint32_t tag, const ReapRowsFrame *rows);
bool reap_rows_decode(const Frame *frame, Arena *arena, ReapRowsFrame *rows);
void reap_done_encode(Buffer *buffer, uint32_t tag, const ReapDone *done);
bool reap_done_decode(const Frame *frame, ReapDone *done);
void error_encode(Buffer *buffer, uint32_t tag, StatusCode status, const char *message);
bool error_decode(const Frame *frame, ErrorFrame *error);
void chunk_encode(Buffer *buffer, uint32_t tag, const ChunkFrame *chunk);
bool chunk_decode(const Frame *frame, ChunkFrame *chunk);
void topology_fetch_encode(Buffer *buffer, uint32_t tag, const TopologyFetch *fetch);
bool topology_fetch_decode(const Frame *frame, TopologyFetch *fetch);
void topology_frame_encode(Buffer *buffer, uint32_t tag, const TopologyFrame *topology);
bool topology_frame_decode(const Frame *frame, TopologyFrame *topology);
void read_encode(Buffer *buffer, uint32_t tag, const ReadFrame *read);
bool read_decode(const Frame *frame, Arena *arena, ReadFrame *read);
void read_reply_encode(Buffer *buffer, uint32_t tag, const ReadReply *reply);
bool read_reply_decode(const Frame *frame, Arena *arena, ReadReply *reply);
void write_encode(Buffer *buffer, uint32_t tag, const WriteFrame *write);
bool write_decode(const Frame *frame, Arena *arena, WriteFrame *write);
void write_reply_encode(Buffer *buffer, uint32_t tag, const WriteReply *reply);
bool write_reply_decode(const Frame *frame, Arena *arena, WriteReply *reply);
void scan_encode(Buffer *buffer, uint32_t tag, const ScanFrame *scan);
bool scan_decode(const Frame *frame, ScanFrame *scan);
void scan_reply_encode(Buffer *buffer, uint32_t tag, const ScanReply *reply);
bool scan_reply_decode(const Frame *frame, Arena *arena, ScanReply *reply);
void bucket_create_encode(Buffer *buffer, uint32_t tag, const Bucket *bucket);
bool bucket_create_decode(const Frame *frame, Arena *arena, Bucket *bucket);
void bucket_drop_encode(Buffer *buffer, uint32_t tag, const BucketDrop *drop);
bool bucket_drop_decode(const Frame *frame, BucketDrop *drop);
void plan_frame_encode(Buffer *buffer, uint32_t tag, const PlanFrame *plan);
bool plan_frame_decode(const Frame *frame, Arena *arena, PlanFrame *plan);
void node_status_fetch_encode(Buffer *buffer, uint32_t tag);
void node_status_encode(Buffer *buffer, uint32_t tag, const NodeStatus *status);
bool node_status_decode(const Frame *frame, Arena *arena, NodeStatus *status);
void replicate_encode(Buffer *buffer, uint32_t tag, const ReplicateFrame *replicate);

/* The same frame from items encoded one by one, as a coordinator gathers them. */
void replicate_item_encode(Buffer *buffer, const ReplicateItem *item);
void replicate_encode_items(Buffer *buffer, uint32_t tag, uint64_t epoch, uint32_t item_count,
                            Slice items);
bool replicate_decode(const Frame *frame, Arena *arena, ReplicateFrame *replicate);
void replicate_result_encode(Buffer *buffer, const ReplicateResult *result);
void replicate_reply_encode_items(Buffer *buffer, uint32_t tag, uint32_t item_count, Slice items);
bool replicate_reply_decode(const Frame *frame, Arena *arena, ReplicateReply *reply);
void repair_encode(Buffer *buffer, uint32_t tag, const RepairFrame *repair);
bool repair_decode(const Frame *frame, RepairFrame *repair);
void repair_reply_encode(Buffer *buffer, uint32_t tag, const RepairReply *reply);
bool repair_reply_decode(const Frame *frame, RepairReply *reply);
void repair_status_fetch_encode(Buffer *buffer, uint32_t tag, const RepairStatusFetch *fetch);
bool repair_status_fetch_decode(const Frame *frame, RepairStatusFetch *fetch);
void repair_status_encode(Buffer *buffer, uint32_t tag, const RepairStatusReply *reply);
bool repair_status_decode(const Frame *frame, Arena *arena, RepairStatusReply *reply);
void data_mark_encode(Buffer *buffer, const DataMark *mark);
DataMark data_mark_decode(Reader *reader);
bool data_mark_is_none(const DataMark *mark);
void hello_encode(Buffer *buffer, FrameType type, uint32_t tag, const HelloFrame *hello);
bool hello_decode(const Frame *frame, HelloFrame *hello);
void paxos_frame_encode(Buffer *buffer, FrameType type, uint32_t tag, const PaxosFrame *paxos);
bool paxos_frame_decode(const Frame *frame, PaxosFrame *paxos);
void tree_roots_encode(Buffer *buffer, uint32_t tag, const TreeRootsFrame *roots);
bool tree_roots_decode(const Frame *frame, Arena *arena, TreeRootsFrame *roots);
void tree_roots_reply_encode(Buffer *buffer, uint32_t tag, const TreeRootsReply *reply);
bool tree_roots_reply_decode(const Frame *frame, Arena *arena, TreeRootsReply *reply);
void tree_level_encode(Buffer *buffer, uint32_t tag, const TreeLevelFrame *level);
bool tree_level_decode(const Frame *frame, Arena *arena, TreeLevelFrame *level);
void tree_level_reply_encode(Buffer *buffer, uint32_t tag, const TreeLevelReply *reply);
bool tree_level_reply_decode(const Frame *frame, Arena *arena, TreeLevelReply *reply);
void tree_keys_encode(Buffer *buffer, uint32_t tag, const TreeKeysFrame *keys);
bool tree_keys_decode(const Frame *frame, TreeKeysFrame *keys);
void tree_keys_reply_encode(Buffer *buffer, uint32_t tag, const TreeKeysReply *reply);
bool tree_keys_reply_decode(const Frame *frame, Arena *arena, TreeKeysReply *reply);
void versions_encode(Buffer *buffer, uint32_t tag, const VersionsFrame *versions);
bool versions_decode(const Frame *frame, Arena *arena, VersionsFrame *versions);
void versions_reply_encode(Buffer *buffer, uint32_t tag, const VersionsReply *reply);
bool versions_reply_decode(const Frame *frame, Arena *arena, VersionsReply *reply);

#endif
