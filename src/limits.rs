//! All limits: sizes in bytes, times as durations.
//!
//! A queue, buffer or wait without a limit here is a bug.

use std::time::Duration;

// ---- Lines and text -------------------------------------------------------------------------------------------------

/// The longest line that a peer may send, without its ending and after telnet decoding.
///
/// It equals the limit of a Linux terminal in canonical mode, so a line typed into `nc` always fits.
pub const LINE_BYTES: usize = 4096;

/// This many bytes without a line ending close the connection.
pub const UNTERMINATED_BYTES: usize = 64 * 1024;

/// This many overlong lines within this time close the connection.
pub const LONG_LINES: (usize, Duration) = (3, Duration::from_secs(60));

/// The most bytes that a session reads from its socket at once, and that one event can hold.
pub const READ_BYTES: usize = 8 * 1024;

/// The number of lines that a session decodes before it passes them on. The rest waits as bytes, which take less
/// memory. It can be exceeded by half of [`DECODE_BYTES`].
pub const READ_LINES: usize = 256;

/// The number of bytes that are decoded before the lines are counted.
pub const DECODE_BYTES: usize = 512;

/// The longest telnet subnegotiation, in bytes. Anything longer is not telnet.
pub const SUBNEGOTIATION_BYTES: usize = 512;

/// The number of telnet commands that are answered per connection. Later ones are read but not answered.
pub const TELNET_ANSWERS: usize = 64;

/// The longest name, in characters (Unicode scalar values) and in terminal columns.
pub const NAME_CHARS: usize = 32;

/// The number of combining marks in a row that are shown as they are. No script needs more.
pub const MARKS_IN_A_ROW: usize = 8;

/// The longest reason for a ban, mute, kick or leave, in characters. Text in the log is not longer either.
pub const REASON_CHARS: usize = 200;

/// The longest token of a `/ping` that the reply repeats, in characters.
pub const PING_TOKEN_CHARS: usize = 64;

/// The longest text of a peer that a refusal repeats, in characters.
pub const QUOTED_CHARS: usize = 40;

// ---- Accounts and passwords -----------------------------------------------------------------------------------------

/// The shortest password, in characters (NIST SP 800-63B of 2017, section 5.1.1.2). The longest is a line.
pub const PASSWORD_CHARS: usize = 8;

/// The maximum number of accounts.
pub const ACCOUNTS: usize = 100_000;

/// How often a login is recorded for an account, and how often the server looks for unused accounts.
pub const LOGINS_NOTED: Duration = Duration::from_secs(24 * 60 * 60);

/// The shortest time after which unused accounts can be removed, because logins are recorded once a day.
pub const ACCOUNT_UNUSED_LEAST: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// The maximum number of bans, and of mutes.
pub const SANCTIONS: usize = 10_000;

/// The longest duration of a ban or mute that ends by itself.
pub const SANCTION_MOST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The longest name of the imposer of a ban or mute, in characters: `NAME (account NAME)`.
pub const IMPOSER_CHARS: usize = 2 * NAME_CHARS + " (account )".len();

/// How often locking is retried while the previous holder removes the lock file.
pub const LOCK_TRIES: usize = 16;

/// The cost of hashing a new password: memory in KiB, passes and lanes (OWASP Password Storage Cheat Sheet: the first
/// choice for argon2id after the one with the most memory).
pub const HASH_COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// The highest cost that a stored hash may ask for, in the same units (RFC 9106, section 4, second recommended option:
/// 64 MiB, 3 and 4).
pub const HASH_COST_MOST: (u32, u32, u32) = (64 * 1024, 10, 4);

/// The number of passwords that are hashed at once. Each takes a processor and the memory of [`HASH_COST`].
pub const HASHES_AT_ONCE: usize = 2;

/// The number of passwords of one network that wait to be hashed. Further peers are told to try again. There are never
/// more in total than connections.
pub const HASHES_WAITING: usize = 16;

/// The number of threads for blocking work besides one per processor: for passwords, the accounts file and reloaded
/// files. The one per processor is enough for all TLS handshakes.
pub const POOL_THREADS: usize = HASHES_AT_ONCE + 2;

// ---- Login and penalties --------------------------------------------------------------------------------------------

/// How long a connection may take to send a name, and then to send a password that the name needs. Nothing that it
/// sends extends this.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes a connection may send without a name, such as empty lines and telnet commands.
pub const LOGIN_BYTES: usize = 64 * 1024;

/// How long a new connection may be silent before it is told what to send.
pub const PROMPT_AFTER: Duration = Duration::from_secs(1);

/// The number of names that a connection may try.
pub const NAME_TRIES: usize = 3;

/// The number of passwords that a connection may try.
pub const PASSWORD_TRIES: usize = 3;

/// How long someone on this machine waits for the reply to a wrong password, as with login(1). Connections from this
/// machine are not limited, so without it guessers could fill the queue.
pub const WRONG_PASSWORD_PAUSE: Duration = Duration::from_secs(4);

/// How often a waiting login checks whether earlier passwords from its network were correct.
pub const TRY_PAUSE: Duration = Duration::from_millis(20);

/// The number of networks with penalties. If there are more, the one whose penalty ends first is forgotten.
pub const PENALIZED_SOURCES: usize = 65_536;

/// The sum of penalties above which a network's connections are refused. Two mistyped passwords are forgiven.
pub const PENALTIES_FROM: Duration = Duration::from_secs(40);

/// The highest sum of penalties.
pub const PENALTIES_MOST: Duration = Duration::from_secs(10 * 60);

pub const PENALTY_WRONG_PASSWORD: Duration = Duration::from_secs(20);

/// The penalty for a connection that had to give a password and timed out.
pub const PENALTY_NO_LOGIN: Duration = Duration::from_secs(10);

/// The penalty for a connection that had to give a password and left without one.
pub const PENALTY_NO_PASSWORD: Duration = Duration::from_secs(1);

/// The penalty for registering a name, so that nobody registers all of them.
pub const PENALTY_REGISTRATION: Duration = Duration::from_secs(20);

// ---- Connections ----------------------------------------------------------------------------------------------------

/// The default number of connections from one IPv4 address or IPv6 /64 network.
pub const PER_SOURCE: usize = 64;

/// How much higher the limits of an IPv6 /56 network are than those of a /64. It may have this many times the
/// connections, and its penalties are divided by this.
pub const PER_56: u32 = 4;

/// The same for an IPv6 /48 network.
pub const PER_48: u32 = 16;

/// How long a new unnamed connection is safe from eviction, unless its network has more of them than others: enough for
/// a TLS handshake and a name over a slow network.
pub const UNNAMED_GRACE: Duration = Duration::from_secs(2);

/// How many connections before the limit the eviction of unnamed ones begins, so that newcomers need not wait. In a
/// small server it is a sixteenth of the limit.
pub const EVICTING_FROM: usize = 256;

/// How many connections there may be above the limit while evicted ones are closing. With a low limit of descriptors it
/// is a quarter of those reserved.
pub const EVICTING: usize = 16;

/// When that many are closing, how often the server checks whether one has closed before it refuses a newcomer, ...
pub const EVICTING_LOOK: Duration = Duration::from_millis(1);

/// ... and how many times.
pub const EVICTING_LOOKS: usize = 10;

/// The number of connections that are refused with a reason at the same time. Further ones are just closed. With a low
/// limit of descriptors it is a quarter of those reserved.
pub const REFUSING: usize = 16;

/// How long a refused connection may take to read the reason.
pub const REFUSAL_LIMIT: Duration = Duration::from_secs(1);

/// The number of free descriptors that the server needs at startup, besides its standard streams.
pub const DESCRIPTORS_TO_START: usize = 32;

/// The number of descriptors reserved for the listeners, the log, and refusing connections. With a low limit it is a
/// quarter of it.
pub const RESERVED_DESCRIPTORS: usize = 64;

/// The number of connections that the kernel queues until they are accepted.
///
/// With the 128 of the standard library, 5000 joins at once take 15 s because of SYN retries.
pub const LISTEN_BACKLOG: i32 = 4096;

/// The first and the longest pause after a failed `accept`, for example without free descriptors.
pub const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long the server waits after an error before it waits for signals again.
pub const SIGNALS_PAUSE: Duration = Duration::from_secs(1);

// ---- TLS ------------------------------------------------------------------------------------------------------------

/// The default port for TLS.
pub const TLS_PORT: u16 = 5001;

/// The number of TLS handshakes that are computed at once per processor. Those that wait for their peer do not count.
pub const HANDSHAKES_A_CORE: usize = 2;

/// The size of the buffer for encrypted bytes that a peer's socket does not accept yet.
pub const TLS_BUFFER_BYTES: usize = 16 * 1024;

/// The longest text about the names in an untrusted certificate, in characters.
pub const CERTIFICATE_NAME_CHARS: usize = 200;

// ---- Rate limits ----------------------------------------------------------------------------------------------------

/// How often a peer that is not read because of its rate limit is checked: a reset frees its name.
pub const PACE_CHECK: Duration = Duration::from_millis(50);

/// How many times the rate of one peer all peers of a network may have together.
pub const PACE_OF_A_NETWORK: u64 = 4;

/// The same for this machine's loopback addresses, and for each of its users at a Unix socket, because scripts share
/// them.
pub const PACE_OF_THIS_MACHINE: u64 = 8;

/// The number of recently active networks that are remembered. If there are more, all are forgotten.
pub const PACED_NETWORKS: usize = 65_536;

// ---- The room -------------------------------------------------------------------------------------------------------

/// The number of events that wait for the broker before sessions have to wait.
pub const INBOX_EVENTS: usize = 128;

/// The number of pings that wait for the broker: one of systemd's watchdog, and one of `server admin`.
pub const PINGS: usize = 2;

/// How many iterations of its loop a task may run before it yields to other tasks.
pub const TASK_BUDGET: u8 = 8;

/// The number of bytes that end the turn of a room. Its last reply may exceed this.
pub const BATCH_BYTES: usize = 64 * 1024;

/// The number of bytes that one room can get in a turn if there are several. Its last event may exceed this.
pub const ROOM_BYTES: usize = 8 * 1024;

/// How long the broker pauses after a turn in which a room got that much, so that the executor looks for input of the
/// other rooms.
#[cfg(unix)]
pub const INPUT_PAUSE: Duration = Duration::from_micros(5);

/// The size of the feeds of all rooms, in bytes, for all slow readers together.
pub const FEED_BYTES: usize = 16 * 1024 * 1024;

/// The size of what readers have not read of rooms that are gone, in bytes, for all such rooms together.
pub const FORMER_FEED_BYTES: usize = 4 * 1024 * 1024;

/// The number of bytes that a writer takes from the feed at once, rounded up to whole batches.
pub const PORTION_BYTES: usize = 64 * 1024;

/// How many separate ranges of messages that are not for a slow reader are remembered.
pub const SKIPPED_RANGES: usize = 1024;

/// The room waits if half or more of the readers that made progress within this time lag by more than half of the feed.
pub const ACTIVE: Duration = Duration::from_secs(1);

/// The room also waits for a single reader that made progress within this time and lags by more than three quarters of
/// the feed, ...
pub const JUST_NOW: Duration = Duration::from_millis(100);

/// ... but at most this long, ...
pub const READER_WAIT: Duration = Duration::from_millis(500);

/// ... and in the long run for at most this share of the time, so that nobody can slow down the room.
pub const READER_WAIT_SHARE: f64 = 0.1;

/// How often the waiting room checks whether its readers have caught up.
pub const CONGESTION_PAUSE: Duration = Duration::from_millis(2);

/// How long a peer must stay before its join is announced. If it leaves earlier, neither its join nor its leave is
/// announced.
pub const ANNOUNCE_AFTER: Duration = Duration::from_millis(500);

/// The number of joins and leaves per second that are announced one by one. Beyond that they are combined.
pub const NOTICES_PER_SECOND: f64 = 20.0;

/// How long joins and leaves are collected for one line.
pub const GATHER: Duration = Duration::from_millis(200);

/// The minimum time between such notices, per peer in the room. A notice costs about 5 µs per peer, so this limits the
/// cost to a tenth of a processor.
pub const NOTICE_PER_PEER: Duration = Duration::from_micros(50);

/// The number of names in such a notice.
pub const GATHERED_NAMES: usize = 3;

/// The number of names that `/who` lists.
pub const WHO_NAMES: usize = 500;

/// The approximate length of the lines of `/who`, `/rooms` and `/ignore`, in bytes.
pub const WHO_LINE_BYTES: usize = 400;

/// The number of names that the welcome lists.
pub const WELCOME_NAMES: usize = 10;

/// How many rooms there may be, without `--room-limit`.
pub const ROOM_LIMIT: usize = 1000;

/// How many rooms a peer may read, or have left and not read to the end, before it is not read itself. The broker and the
/// session count as two.
pub const ROOMS_READ: usize = 64;

/// The number of names that a peer can ignore, and of ignored peers that it follows through name changes.
pub const IGNORED_NAMES: usize = 100;

/// The number of rooms that a peer can hear besides the one where it is.
pub const ROOMS_HEARD: usize = 8;

/// The longest topic of a room, in characters.
pub const TOPIC_CHARS: usize = 200;

// ---- History --------------------------------------------------------------------------------------------------------

/// The most messages of a room that are kept in memory without a data folder.
pub const MEMORY_HISTORY_MESSAGES: usize = 10_000;

/// The most bytes that these messages of all rooms may take.
pub const MEMORY_HISTORY_BYTES: usize = 8 * 1024 * 1024;

/// How far ahead of the newest number of a room its ceiling of numbers is kept on the disk. After a crash, numbering
/// continues above the ceiling, so this is the most that a crash can skip, twice. It is also how many messages the room
/// can still number when the disk fails.
pub const NUMBERS_AHEAD: u64 = 65_536;

/// The number of bytes of messages of a room that wait for the disk. Further ones are not stored.
pub const HISTORY_WAITING_BYTES: usize = 16 * 1024 * 1024;

/// The newest messages of a room that are also kept in memory, so that joining peers need nothing from the disk.
pub const HISTORY_TAIL_MESSAGES: usize = 1000;

/// The most bytes that these may take, of all rooms.
pub const HISTORY_TAIL_BYTES: usize = 1024 * 1024;

/// The number of messages that a search looks through at once, before it lets others read, ...
pub const SEARCH_STEP_MESSAGES: u64 = 4096;

/// ... and how many of them are in memory together. They take at most 2 MiB.
pub const SEARCH_PART_MESSAGES: i64 = 512;

/// For each this many damaged messages, the next attempt to read on skips one more.
pub const DAMAGE_STEPS: i64 = 256;

/// How often old messages are removed, ...
pub const RETENTION_CHECK: Duration = Duration::from_secs(10);

/// ... how many at once, ...
pub const RETENTION_MESSAGES: usize = 1000;

/// ... and the pause before the next of them.
pub const RETENTION_PAUSE: Duration = Duration::from_millis(20);

/// The number of free pages of 4 KiB that stay in the file for new messages.
pub const FREE_PAGES: u64 = 256;

/// The number of pages that are given back to the disk at once.
pub const VACUUMED_PAGES: u64 = 256;

/// The default age at which messages are removed.
pub const KEEP: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The default size of all messages on disk. The oldest are removed beyond it.
pub const KEEP_BYTES: u64 = 1024 * 1024 * 1024;

/// The smallest `--keep-bytes`.
pub const KEEP_BYTES_LEAST: u64 = 1024 * 1024;

/// The longest `--sync`.
pub const SYNC_MOST: Duration = Duration::from_secs(60);

/// The default time after which what was written is synced to the disk.
pub const SYNC_WITHIN: Duration = Duration::from_millis(200);

/// The memory for caching the database file, in bytes, for the writer.
pub const DATABASE_CACHE_BYTES: usize = 2 * 1024 * 1024;

/// The same for each reader.
pub const DATABASE_READER_CACHE_BYTES: usize = 256 * 1024;

/// The number of connections for reading that stay open.
pub const DATABASE_READERS: usize = 2;

/// How long the server waits while another program writes to the database.
pub const DATABASE_BUSY: Duration = Duration::from_secs(5);

/// The size to which the write-ahead log is cut when it is emptied.
pub const WAL_KEPT_BYTES: u64 = 4 * 1024 * 1024;

/// The size of the write-ahead log above which readers are paused until it is empty. One transaction can add
/// [`HISTORY_WAITING_BYTES`] to that, and the pages above them.
pub const WAL_PAUSE_BYTES: u64 = 16 * 1024 * 1024;

/// The size of the write-ahead log above which nothing is stored. Only another program can make it so large.
pub const WAL_BYTES: u64 = 256 * 1024 * 1024;

/// How long the server waits before it tries again to empty it.
pub const WAL_CHECK: Duration = Duration::from_secs(1);

/// How often a problem with the database is logged.
pub const PROBLEM_PERIOD: Duration = Duration::from_secs(60);

/// The number of bytes after which a page of stored messages ends. The last message may exceed it.
pub const HISTORY_PAGE_BYTES: usize = 256 * 1024;

/// How many messages a peer can ask for by `/last`, `last=` and `replay=`.
pub const LAST_MOST: usize = 10_000;

/// How many `/last` and `/grep` show if they are not told.
pub const LAST_DEFAULT: usize = 20;

/// How many messages a `/grep` can show.
pub const GREP_MOST: usize = 100;

/// How many messages a newcomer is shown (`--replay`), and the most that can be set.
pub const REPLAY: usize = 10;
pub const REPLAY_MOST: usize = 100;

/// The most bytes of the messages that a room keeps for newcomers. If these are longer, they come from the history.
pub const RECENT_BYTES: usize = 16 * 1024;

/// The number of messages that a writer reads from the history at once.
pub const REPLAY_PAGE: usize = 256;

/// How many `/since` and `/last` of one peer may be waiting or running.
pub const REPLAYS_WAITING: usize = 4;

/// How many pages of the history are read at once, for all peers together, and how long a reader that was too slow
/// waits for its turn.
pub const HISTORY_READS: usize = 8;
pub const HISTORY_WAIT: Duration = Duration::from_secs(2);

/// How many searches may run at once.
pub const SEARCHES: usize = 2;

/// How long the room waits for the history to store what was said.
pub const STORE_WAIT: Duration = Duration::from_millis(100);

// ---- Sockets, and peers that are gone -------------------------------------------------------------------------------

/// The kernel's send buffer per peer, in bytes. Linux doubles it for its own bookkeeping.
pub const SEND_BUFFER: usize = 32 * 1024;

/// The kernel's receive buffer per peer, in bytes. Linux doubles it for its own bookkeeping.
pub const RECEIVE_BUFFER: usize = 32 * 1024;

/// The longest TCP segment (TCP_MAXSEG), in bytes. Several must fit into [`SEND_BUFFER`].
///
/// On the loopback interface a segment could have 64 KiB, which is the whole buffer. Its receiver waits 40 ms for a
/// second segment before it acknowledges the first (RFC 1122, section 4.2.3.2), which would limit a peer to 3 MB/s.
/// Networks have smaller segments anyway.
pub const SEGMENT_BYTES: u32 = 8 * 1024;

/// The default time after which a peer that reads nothing is disconnected.
pub const STALL_LIMIT: Duration = Duration::from_secs(300);

/// TCP keepalive: the idle time before the first probe, the interval between probes, and the number of unanswered
/// probes.
pub const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long sent data may go unacknowledged (TCP_USER_TIMEOUT, RFC 5482).
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How long after a write the kernel is asked whether the data was acknowledged.
pub const LINK_LOOK: Duration = Duration::from_secs(30);

// ---- Closing --------------------------------------------------------------------------------------------------------

/// How long a leaving peer may take to read its last lines.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(4);

/// How long the server reads and discards what a peer sends after the farewell.
///
/// A plain `close()` with unread input makes the kernel send a reset, which can destroy what the peer has not read yet.
/// Reading until the peer closes too avoids that (RFC 1122, section 4.2.2.13).
pub const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// The most bytes that are discarded in that time.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// How many reads a session makes during a shutdown, to receive what had already arrived.
pub const LAST_READS: usize = 64;

/// The longest duration of a shutdown, whatever the peers do.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// How often systemd is told how many people there are, if it has no watchdog. With one, it is told twice as often as
/// the watchdog expects to be told that the server works.
pub const STATUS_PAUSE: Duration = Duration::from_secs(60);

/// It is never told more often than this, whatever the watchdog expects.
pub const WATCHDOG_PAUSE_LEAST: Duration = Duration::from_millis(100);

/// How long the server waits at its end until systemd has been told that it stops.
pub const STOPPING_LIMIT: Duration = Duration::from_secs(1);

// ---- Settings ---------------------------------------------------------------------------------------------------------

/// The longest file of settings.
pub const SETTINGS_BYTES: usize = 1024 * 1024;

// ---- `server admin` -------------------------------------------------------------------------------------------------

/// The longest request at the control socket: a line, followed by a password.
pub const CONTROL_BYTES: usize = 2 * (LINE_BYTES + 1);

/// How long such a request may take to arrive, and its reply to be read. The request itself is always completed.
pub const CONTROL_LIMIT: Duration = Duration::from_secs(10);

/// Length of the token of the control channel on Windows.
pub const CONTROL_TOKEN_BYTES: usize = 32;

/// How long the server waits for that token. Others wait meanwhile.
pub const CONTROL_TOKEN_LIMIT: Duration = Duration::from_secs(1);

// ---- The log --------------------------------------------------------------------------------------------------------

/// The number of log records that wait for a slow standard output. Further ones are dropped and counted.
pub const LOG_RECORDS: usize = 1024;

/// How many of these are reserved for vital records: about passwords, sanctions and server errors.
pub const LOG_VITAL_RECORDS: usize = 256;

/// How many records of each kind that peers can cause are logged per network within [`LOG_PERIOD`].
pub const RECORDS_LOGGED: u32 = 20;

/// How often the number of suppressed records is reported.
pub const LOG_PERIOD: Duration = Duration::from_secs(1);

/// How many combinations of kind and network are counted separately. Further networks share one limit per kind.
pub const LOG_SUBJECTS: usize = 256;

/// How long the program waits at its end for the log to be written.
pub const LOG_FLUSH: Duration = Duration::from_secs(1);

// ---- The client: connection -----------------------------------------------------------------------------------------

/// How long the client waits for a connection.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long the client tries one address of a host before it also tries the next one, as RFC 8305 (section 8)
/// recommends.
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long the client waits for its welcome, counted from the start of the connection attempt.
pub const WELCOME_LIMIT: Duration = Duration::from_secs(30);

/// The longest line that the client assembles before it shows what it has.
///
/// The server's longest line is a message of [`LINE_BYTES`] after a name, with each byte escaped.
pub const CLIENT_LINE_BYTES: usize = 64 * 1024;

/// How much of what the server says before it accepts the name is kept to be shown, in bytes. An honest server sends a
/// few lines.
pub const CLIENT_GREETING_BYTES: usize = 128 * 1024;

/// The number of free threads that the client needs at startup, enough for any mode.
pub const STARTUP_THREADS: usize = 8;

/// The number of free descriptors that the client needs at startup, enough for any mode.
pub const STARTUP_DESCRIPTORS: usize = 24;

/// How long the client in a pipe tries to get a name that is taken.
pub const TAKEN_LIMIT: Duration = Duration::from_secs(10);

/// The shortest and the longest pause between two such attempts.
pub const TAKEN_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// The first and the longest pause before the client reconnects. Half of each is random, so that the clients of a
/// restarted server do not all reconnect at once.
pub const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// The longest time that the client can be told to stay after the end of its input.
pub const WAIT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the server may take to say goodbye before the person is told what the client is waiting for.
pub const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// The number of messages that wait for the bot's program. Further ones are dropped and counted.
pub const EXEC_MESSAGES: usize = 64;

/// How much of the program's output for one message is sent, in bytes.
pub const EXEC_OUTPUT_BYTES: usize = 64 * 1024;

/// How long the client waits for more output of a program of `--exec` that has ended, if a background process keeps its
/// output open.
pub const EXEC_SILENCE: Duration = Duration::from_millis(500);

// ---- The client: terminal -------------------------------------------------------------------------------------------

/// The number of typed lines that wait for the client to handle them.
pub const CLIENT_TYPED_LINES: usize = 4096;

/// The number of typed lines that wait to be sent. Further ones are refused.
pub const CLIENT_UNSENT_LINES: usize = 10_000;

/// The number of reads from the server that wait for the client before the server has to wait.
pub const CLIENT_LINK_EVENTS: usize = 16;

/// The number of the client's own pings that may be unanswered before it sends no more.
pub const RECEIPTS_WAITING: usize = 100;

/// How long after sending a line the client sends a ping to learn whether the line arrived. The ping counts towards the
/// rate limit.
pub const RECEIPT_AFTER: Duration = Duration::from_secs(1);

/// The number of lines in the client's history.
pub const CLIENT_HISTORY_LINES: usize = 1000;

/// The number of lines that wait for the client's screen before the server has to wait.
pub const CLIENT_SCREEN_LINES: usize = 256;

/// The number of lines above the input that the client can redraw after a resize.
pub const CLIENT_RECENT_LINES: usize = 100;

/// The number of names that the client remembers for completion from messages of peers not announced yet.
pub const CLIENT_SPEAKERS: usize = 100;

/// The number of names of people in the room that the client remembers for completion. Further ones are not completed
/// until others leave.
pub const CLIENT_NAMES: usize = 10_000;

/// The number of rooms that the client remembers for completion. Further ones are not completed.
pub const CLIENT_ROOMS: usize = 1000;

/// The number of bytes that the client draws at once. It stops after the line that exceeds this.
pub const CLIENT_DRAWN_BYTES: usize = 64 * 1024;

/// How long after a resize the client shows nothing until its editor has redrawn.
pub const RESIZE_DRAWN: Duration = Duration::from_secs(1);

/// How often it checks whether that has happened.
pub const RESIZE_LOOK: Duration = Duration::from_millis(5);

/// How long the client waits at its end until its last lines are on the screen.
pub const SCREEN_FLUSH: Duration = Duration::from_millis(500);

/// How long the client waits for its editor to draw another prompt before it asks again.
pub const PROMPT_RETRY: Duration = Duration::from_millis(200);

/// How often a client in the background checks whether it is in the foreground.
pub const FOREGROUND_LOOK: Duration = Duration::from_millis(50);

/// How long the client waits for its own stop signal to take effect.
pub const STOP_TAKES: Duration = Duration::from_millis(50);

/// A bracketed paste without an end marker ends after this silence.
pub const PASTE_SILENCE: Duration = Duration::from_secs(2);

/// Lines with less time than this between them are one paste. The person is asked about a paste of more than
/// [`PASTE_LINES`].
pub const PASTE_QUIET: Duration = Duration::from_millis(40);

/// See [`PASTE_QUIET`].
pub const PASTE_LINES: usize = 5;

/// How long no key may be pressed before the person is asked about a paste, and before and after the Enter that
/// confirms it. A paste over a slow link pauses for less.
pub const ANSWER_QUIET: Duration = Duration::from_millis(300);

/// An incomplete escape sequence or UTF-8 character is complete after this silence.
pub const KEY_SILENCE: Duration = Duration::from_millis(500);

/// How long the editor waits after ESC for the rest of a key, in milliseconds. The rest arrives together with it.
pub const KEY_PARTS: u16 = 100;

/// How soon the second Ctrl-C that leaves must follow the first one.
pub const SECOND_INTERRUPT: Duration = Duration::from_secs(5);
