//! Every limit in one place: sizes in bytes, times as durations.
//!
//! A queue, a buffer or a wait that has no name here is a defect.

use std::time::Duration;

// ---- Lines and text -------------------------------------------------------------------------------------------------

/// The longest line a peer may send, in bytes without its end and after telnet decoding.
///
/// It equals what a Linux terminal hands over in its canonical mode, so a line typed at `nc` always fits.
pub const LINE_BYTES: usize = 4096;

/// How many bytes without a line end close the connection.
pub const UNTERMINATED_BYTES: usize = 64 * 1024;

/// So many lines that are too long, within so much time, close the connection.
pub const LONG_LINES: (usize, Duration) = (3, Duration::from_secs(60));

/// How many bytes a session takes from its socket at once, and so what one event can hold.
pub const READ_BYTES: usize = 8 * 1024;

/// How many lines a session takes from what it has read before it passes them on; the rest waits as bytes, which
/// take less room. It may be exceeded by half of [`DECODE_BYTES`].
pub const READ_LINES: usize = 256;

/// How many bytes are decoded before the lines are counted.
pub const DECODE_BYTES: usize = 512;

/// How many bytes of telnet subnegotiation are taken for one; what is longer is no telnet.
pub const SUBNEGOTIATION_BYTES: usize = 512;

/// How many telnet commands of one connection are answered; then it is only listened to.
pub const TELNET_ANSWERS: usize = 64;

/// The longest name, in characters (Unicode scalar values), and also in columns of a terminal.
pub const NAME_CHARS: usize = 32;

/// How many combining marks in a row are shown as they are; no script needs more.
pub const MARKS_IN_A_ROW: usize = 8;

/// How many characters of a reason are kept: for a ban, a mute, a kick, or for leaving. The log holds no longer text either.
pub const REASON_CHARS: usize = 200;

/// How many characters of the token of a `/ping` the answer repeats.
pub const PING_TOKEN_CHARS: usize = 64;

/// How many characters of a peer's own words a refusal repeats.
pub const QUOTED_CHARS: usize = 40;

// ---- Accounts and passwords -----------------------------------------------------------------------------------------

/// The shortest password, in characters (NIST SP 800-63B of 2017, section 5.1.1.2). The longest is a line.
pub const PASSWORD_CHARS: usize = 8;

/// How many accounts are kept.
pub const ACCOUNTS: usize = 100_000;

/// How often a login is noted for an account, and how often the server looks for accounts that nobody uses.
pub const LOGINS_NOTED: Duration = Duration::from_secs(24 * 60 * 60);

/// After how long without a login accounts can be removed at the earliest, since logins are not noted to the second.
pub const ACCOUNT_UNUSED_LEAST: Duration = Duration::from_secs(2 * 24 * 60 * 60);

/// How many bans are kept, and how many mutes.
pub const SANCTIONS: usize = 10_000;

/// How long a ban or a mute may last that is to end by itself.
pub const SANCTION_MOST: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// How many characters are kept of who imposed a ban or a mute: `NAME (account NAME)`.
pub const IMPOSER_CHARS: usize = 2 * NAME_CHARS + " (account )".len();

/// How much of the registry's file is held in memory besides what is read of it at the start, in bytes.
pub const ACCOUNTS_CACHE_BYTES: usize = 4 * 1024 * 1024;

/// How often a lock is tried whose file its former holder removes at that moment.
pub const LOCK_TRIES: usize = 16;

/// What a new password's hash costs: memory in KiB, passes over it, and lanes (OWASP Password Storage Cheat Sheet, its
/// first choice for argon2id after the one with the most memory).
pub const HASH_COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// What a hash in the registry may ask for at most, in the same units, whoever wrote it there (RFC 9106, section 4, the
/// second recommended option, is 64 MiB, 3 and 4).
pub const HASH_COST_MOST: (u32, u32, u32) = (64 * 1024, 10, 4);

/// How many passwords are hashed at once: each takes a processor and the memory of [`HASH_COST`].
pub const HASHES_AT_ONCE: usize = 2;

/// How many passwords of one source wait to be hashed; beyond that a person there is told to try again. Of all sources
/// together there are no more than connections.
pub const HASHES_WAITING: usize = 16;

/// How many threads there are at most for what blocks or takes long, besides one for each processor, which suffices for all
/// TLS handshakes: for passwords, for the registry's disk, and for files that are read again.
pub const POOL_THREADS: usize = HASHES_AT_ONCE + 2;

// ---- Login and penalties --------------------------------------------------------------------------------------------

/// How long a connection may go without a name, and for how long it is then waited for a password that the name needs. Nothing that it sends extends this.
pub const LOGIN_LIMIT: Duration = Duration::from_secs(30);

/// How many bytes a connection may send without a name among them, such as empty lines and telnet commands.
pub const LOGIN_BYTES: usize = 64 * 1024;

/// How long a new connection may be silent before it is told what to send.
pub const PROMPT_AFTER: Duration = Duration::from_secs(1);

/// How many names a connection may try before it is closed.
pub const NAME_TRIES: usize = 3;

/// How many passwords a connection may try before it is closed.
pub const PASSWORD_TRIES: usize = 3;

/// How long somebody on this machine waits for the answer to a wrong password, as at login(1): connections from there are not
/// limited, and those who guess through many of them would fill the queue before others.
pub const WRONG_PASSWORD_PAUSE: Duration = Duration::from_secs(4);

/// How often somebody looks whether others from the same source have been told that their passwords were right.
pub const TRY_PAUSE: Duration = Duration::from_millis(20);

/// How many sources have a penalty at once. When there are more, the one whose penalty ends first is forgotten.
pub const PENALIZED_SOURCES: usize = 65_536;

/// What a source's penalties may come to before its connections are refused: two mistyped passwords are forgiven.
pub const PENALTIES_FROM: Duration = Duration::from_secs(40);

/// What a source's penalties come to at most.
pub const PENALTIES_MOST: Duration = Duration::from_secs(10 * 60);

/// The penalty for a wrong password.
pub const PENALTY_WRONG_PASSWORD: Duration = Duration::from_secs(20);

/// The penalty for a connection that had to give a password and gave none in its time.
pub const PENALTY_NO_LOGIN: Duration = Duration::from_secs(10);

/// The penalty for a connection that had to give a password and left without one.
pub const PENALTY_NO_PASSWORD: Duration = Duration::from_secs(1);

/// The penalty for the registration of a name, so that nobody registers all of them.
pub const PENALTY_REGISTRATION: Duration = Duration::from_secs(20);

// ---- Connections ----------------------------------------------------------------------------------------------------

/// How many connections may come from one IPv4 address, or one IPv6 /64 network, unless the server is told otherwise.
pub const PER_SOURCE: usize = 64;

/// How many times the limits of a /64 network an IPv6 /56 network has, and how many times a /48. It may have as many times
/// the connections, and waits, and each of its penalties is that part of the time.
pub const PER_56: u32 = 4;

/// See [`PER_56`].
pub const PER_48: u32 = 16;

/// How long a connection that has no name need not make room for another, unless its source has more of them: enough for a
/// TLS handshake and a name over a slow network.
pub const UNNAMED_GRACE: Duration = Duration::from_secs(2);

/// How many connections before the server is full those without a name begin to make room, so that a newcomer need not wait
/// until they have ended. In a small server it is a sixteenth of the room.
pub const EVICTING_FROM: usize = 256;

/// How many connections there may be beyond those that there is room for, while those that made room for them are ending.
/// With a low limit of descriptors it is a quarter of what is kept back.
pub const EVICTING: usize = 16;

/// When there are as many as that, how often the server looks whether one has ended before it refuses a newcomer, ...
pub const EVICTING_LOOK: Duration = Duration::from_millis(1);

/// ... and how many times.
pub const EVICTING_LOOKS: usize = 10;

/// How many connections may be refused politely at the same time; further ones are just closed. With a low limit of
/// descriptors it is a quarter of what is kept back.
pub const REFUSING: usize = 16;

/// How long a refused connection may take to read why.
pub const REFUSAL_LIMIT: Duration = Duration::from_secs(1);

/// How many descriptors there have to be when the server starts, beside its standard streams: what it needs itself, and a few
/// for connections.
pub const DESCRIPTORS_TO_START: usize = 32;

/// How many descriptors are kept back from the connections: for the listener, the log, and for refusing politely.
/// With a low limit it is a quarter of that.
pub const RESERVED_DESCRIPTORS: usize = 64;

/// How many connections the kernel keeps for the listener until they are accepted.
///
/// With the 128 of the standard library a storm of 5000 joins takes 15 s of SYN retries.
pub const LISTEN_BACKLOG: i32 = 4096;

/// The first and the longest pause after `accept` failed, as when descriptors run out.
pub const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long the server waits before it listens for signals again, after an error in doing so.
pub const SIGNALS_PAUSE: Duration = Duration::from_secs(1);

// ---- TLS ------------------------------------------------------------------------------------------------------------

/// The port for TLS, where a certificate is given and no port.
pub const TLS_PORT: u16 = 5001;

/// How many TLS handshakes are worked on at once, for each processor. Those that wait for their peer do not count.
pub const HANDSHAKES_A_CORE: usize = 2;

/// How many bytes wait encrypted for a peer whose socket takes no more.
pub const TLS_BUFFER_BYTES: usize = 16 * 1024;

/// How many characters are shown of the names in a certificate that is not trusted.
pub const CERTIFICATE_NAME_CHARS: usize = 200;

// ---- Rate limits ----------------------------------------------------------------------------------------------------

/// How often a peer that is too fast, and so is not read, is looked at: a reset frees its name.
pub const PACE_CHECK: Duration = Duration::from_millis(50);

/// How many times as fast as one peer all peers of a network may talk together.
pub const PACE_OF_A_NETWORK: u64 = 4;

/// The same for this machine by its loopback addresses, and for each of its users at a socket of the file system: scripts
/// share them.
pub const PACE_OF_THIS_MACHINE: u64 = 8;

/// How many networks that have talked lately are remembered. When there are more, all are forgotten.
pub const PACED_NETWORKS: usize = 65_536;

// ---- The room -------------------------------------------------------------------------------------------------------

/// How many events wait for the broker before the sessions have to.
pub const INBOX_EVENTS: usize = 128;

/// How often a task that reads or writes may go on without a break, as long as it always finds more to do.
pub const ROUNDS_IN_A_TURN: u8 = 8;

/// How many bytes of text end a turn of the broker. The last reply of a turn may go beyond.
pub const BATCH_BYTES: usize = 64 * 1024;

/// How many bytes the feed holds for the peers that lag, all of them together.
pub const FEED_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes a writer takes from the feed at once, rounded up to a whole batch.
pub const PORTION_BYTES: usize = 64 * 1024;

/// The room waits for readers that made progress within this time, when half or more of them lag by more than half of
/// the feed.
pub const ACTIVE: Duration = Duration::from_secs(1);

/// The room also waits for a single reader that made progress within this time and is more than three quarters of the
/// feed behind ...
pub const JUST_NOW: Duration = Duration::from_millis(100);

/// ... but for so long at most, ...
pub const PATIENCE: Duration = Duration::from_millis(500);

/// ... and in the long run for no more than this part of the time, so that nobody can slow the room down.
pub const PATIENCE_REGAINED: f64 = 0.1;

/// How long the room waits before it looks again whether its readers have caught up.
pub const CONGESTION_PAUSE: Duration = Duration::from_millis(2);

/// How long a peer must have been in the room before its join is announced. Of a peer that leaves earlier, neither the
/// join nor the leave is.
pub const ANNOUNCE_AFTER: Duration = Duration::from_millis(500);

/// How many joins and leaves are told one by one in a second; above that they are gathered.
pub const NOTICES_PER_SECOND: f64 = 20.0;

/// For how long joins and leaves are gathered into one line.
pub const GATHER: Duration = Duration::from_millis(200);

/// In a large room such notices are at least so much time for each peer apart: telling one takes about 5 µs a peer, so a
/// tenth of a processor at most.
pub const NOTICE_PER_PEER: Duration = Duration::from_micros(50);

/// How many names such a line lists.
pub const GATHERED_NAMES: usize = 3;

/// How many names `/who` lists, so that what answers it is bounded.
pub const WHO_NAMES: usize = 500;

/// About how many bytes of names `/who` puts on one line, and `/ignore`.
pub const WHO_LINE_BYTES: usize = 400;

/// How many names the welcome lists.
pub const WELCOME_NAMES: usize = 10;

/// How many names a peer can ignore; and how many peers of another name now, since they had one of these.
pub const IGNORED_NAMES: usize = 100;

// ---- Sockets, and peers that are gone -------------------------------------------------------------------------------

/// What the kernel may hold of one peer's lines, in bytes; Linux doubles it for its own bookkeeping.
pub const SEND_BUFFER: usize = 32 * 1024;

/// What the kernel may hold of what one peer sent and the server has not read, in bytes; Linux doubles it likewise.
pub const RECEIVE_BUFFER: usize = 32 * 1024;

/// The longest TCP segment (TCP_MAXSEG), in bytes: several must fit into [`SEND_BUFFER`].
///
/// On the loopback interface a segment could have 64 KiB, which is all that the buffer holds. Its receiver waits 40 ms
/// for a second one before it acknowledges the first (RFC 1122, section 4.2.3.2), so a peer would get 3 MB/s at most.
/// Networks have smaller segments anyway.
pub const SEGMENT_BYTES: u32 = 8 * 1024;

/// How long a peer may take nothing of what is sent to it, unless the server is told otherwise.
pub const STALL_LIMIT: Duration = Duration::from_secs(300);

/// When a silent peer is asked whether it lives, how long between two questions, and how many may go unanswered.
pub const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(60), Duration::from_secs(15), 4);

/// How long what was sent to a peer may go without its acknowledgement (TCP_USER_TIMEOUT, RFC 5482).
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(120);

/// How long after something was sent the kernel is asked what became of it.
pub const LINK_LOOK: Duration = Duration::from_secs(30);

// ---- Closing --------------------------------------------------------------------------------------------------------

/// How long a peer that leaves may take to read its last lines before the connection is cut.
pub const FAREWELL_LIMIT: Duration = Duration::from_secs(4);

/// How long the server goes on reading, and throwing away, what a peer sends after its farewell.
///
/// A plain `close()` with unread input makes the kernel send a reset, which can destroy what the peer has not
/// read yet; reading on until the peer closes too (RFC 1122, section 4.2.2.13) avoids that.
pub const LINGER_LIMIT: Duration = Duration::from_secs(2);

/// How many bytes are thrown away in that time at most.
pub const LINGER_BYTES: usize = 1024 * 1024;

/// How many reads a session makes at a shutdown to take in what had already arrived.
pub const LAST_READS: usize = 64;

/// How long a shutdown takes at most, whatever the peers do.
pub const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

// ---- `server admin` -------------------------------------------------------------------------------------------------

/// How many bytes a request through the control socket may have: a line, and a password behind it.
pub const CONTROL_BYTES: usize = 2 * (LINE_BYTES + 1);

/// How long such a request may take to come, and its answer to be taken. What is asked for is done to its end.
pub const CONTROL_LIMIT: Duration = Duration::from_secs(10);

// ---- The log --------------------------------------------------------------------------------------------------------

/// How many log records wait for a slow standard output before further ones are dropped and counted.
pub const LOG_RECORDS: usize = 1024;

/// How many of these are kept for records that must not be lost: about passwords, sanctions, and errors of the server.
pub const LOG_VITAL_RECORDS: usize = 256;

/// How many records of a kind that peers can cause are logged for each network within [`LOG_PERIOD`].
pub const RECORDS_LOGGED: u32 = 20;

/// How often those that were not logged are reported.
pub const LOG_PERIOD: Duration = Duration::from_secs(1);

/// For how many kinds in networks they are counted one by one. Further networks share one limit for each kind.
pub const LOG_SUBJECTS: usize = 256;

/// How long the end of the program waits for the log to be written.
pub const LOG_FLUSH: Duration = Duration::from_secs(1);

// ---- The client: connection -----------------------------------------------------------------------------------------

/// How long the client waits for a server to answer its connection.
pub const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How long the client waits for one address of a host before it tries the next one as well. RFC 8305 (section 8)
/// recommends this.
pub const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// How long the client waits for its welcome, from the beginning of the attempt to connect.
pub const WELCOME_LIMIT: Duration = Duration::from_secs(30);

/// The longest line that the client puts together before it shows what it has.
///
/// The server's longest is a message of [`LINE_BYTES`], each byte of it escaped, behind a name.
pub const CLIENT_LINE_BYTES: usize = 64 * 1024;

/// How much of what the server says before it takes the name the client keeps to show it, in bytes. An honest server says a
/// few lines.
pub const CLIENT_GREETING_BYTES: usize = 128 * 1024;

/// How many threads must be free when the client starts: more than it needs in any mode.
pub const STARTUP_THREADS: usize = 8;

/// How many file descriptors must be free when the client starts: more than it needs in any mode.
pub const STARTUP_DESCRIPTORS: usize = 24;

/// How long the client, in a pipe, tries to get a name that is taken.
pub const TAKEN_LIMIT: Duration = Duration::from_secs(10);

/// The shortest and the longest pause between two tries.
pub const TAKEN_PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_millis(250));

/// The first and the longest pause before the client connects again. Half of each is left to chance, so that all clients
/// of a server that was restarted do not come at once.
pub const RECONNECT_PAUSE: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How long the client can be told to stay after the end of its input.
pub const WAIT_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// How long the server may take to say goodbye before the person who leaves is told what is waited for.
pub const GOODBYE_PATIENCE: Duration = Duration::from_secs(1);

/// How many messages wait for the program that the client runs for each; further ones are not run, and counted.
pub const EXEC_MESSAGES: usize = 64;

/// How much of what that program writes for one message is said.
pub const EXEC_OUTPUT_BYTES: usize = 64 * 1024;

// ---- The client: terminal -------------------------------------------------------------------------------------------

/// How many lines may be typed before the client has looked at the first of them.
pub const CLIENT_TYPED_LINES: usize = 4096;

/// How many lines of a person wait to be sent; what is typed beyond them is refused.
pub const CLIENT_UNSENT_LINES: usize = 10_000;

/// How many portions of what the server said wait for the client to look at them, before the server has to.
pub const CLIENT_LINK_EVENTS: usize = 16;

/// How many passwords may be typed before the server asks for them: the present one, and a new one twice.
pub const CLIENT_SECRETS: usize = 3;

/// How many pings of the client's own wait for an answer before it sends no further one.
pub const RECEIPTS_WAITING: usize = 100;

/// How long after a line was sent the client sends a ping, to know whether it has arrived, ...
pub const RECEIPT_AFTER: Duration = Duration::from_secs(1);

/// ... unless so many lines were sent before: then it does so at once. The ping counts towards the server's pace.
pub const RECEIPT_LINES: usize = 10;

/// How many lines the client keeps of what was typed in former visits.
pub const CLIENT_HISTORY_LINES: usize = 1000;

/// How many lines wait for the client's screen before the server has to.
pub const CLIENT_SCREEN_LINES: usize = 256;

/// How many of the lines above the typed one the client can draw again after a resize.
pub const CLIENT_RECENT_LINES: usize = 100;

/// How many names the client remembers for completion of those who spoke before the server announced them.
pub const CLIENT_SPEAKERS: usize = 100;

/// How many names the client remembers for completion of those of whom the server said that they are here. Further ones are
/// not completed until others leave.
pub const CLIENT_NAMES: usize = 10_000;

/// How many bytes of lines the client draws at once; with the line that exceeds this it stops.
pub const CLIENT_DRAWN_BYTES: usize = 64 * 1024;

/// How long after a resize the client shows nothing, until its editor has drawn at the new size.
pub const RESIZE_DRAWN: Duration = Duration::from_secs(1);

/// How often it looks whether that has happened.
pub const RESIZE_LOOK: Duration = Duration::from_millis(5);

/// How long the client waits at its end until its last lines are on the screen.
pub const SCREEN_FLUSH: Duration = Duration::from_millis(500);

/// How often the client, which goes on in the background, looks whether it is in the foreground.
pub const FOREGROUND_LOOK: Duration = Duration::from_millis(50);

/// How long the client waits for its own stop signal to take effect.
pub const STOP_TAKES: Duration = Duration::from_millis(50);

/// A bracketed paste without an end marker ends after this silence.
pub const PASTE_SILENCE: Duration = Duration::from_secs(2);

/// Lines with less time than this between them are one paste, and if there are more of them than
/// [`PASTE_LINES`] the person is asked.
pub const PASTE_QUIET: Duration = Duration::from_millis(40);

/// See [`PASTE_QUIET`].
pub const PASTE_LINES: usize = 5;

/// How long no key may be pressed before the person is asked about a paste, and before and after the Enter that answers:
/// a paste over a slow link pauses for less.
pub const ANSWER_QUIET: Duration = Duration::from_millis(300);

/// An incomplete escape sequence or UTF-8 character is complete after this silence.
pub const KEY_SILENCE: Duration = Duration::from_millis(500);

/// How long the editor waits after ESC for the rest of a key, in milliseconds. The rest arrives together with it.
pub const KEY_PARTS: u16 = 100;

/// How soon a second Ctrl-C has to follow the first one to leave.
pub const SECOND_INTERRUPT: Duration = Duration::from_secs(5);
