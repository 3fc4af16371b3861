//! The table of commands, and what a line from a peer with a name means.
//!
//! `/help`, Tab completion, `server admin` and the table in docs/protocol.md come from [`COMMANDS`]. A line whose first
//! visible character is `/` is a command. It is never passed on, not even if it is unknown: it may be a mistyped
//! private message.

use std::time::Duration;

use crate::limits::{GREP_MOST, LAST_DEFAULT, PING_TOKEN_CHARS, QUOTED_CHARS, REASON_CHARS, TOPIC_CHARS};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::arguments::Arguments;
use crate::protocol::login_line::{parse_count, parse_switch};
use crate::protocol::moderation::split_time;
use crate::protocol::words::{find_slash, split_word};
use crate::protocol::{Line, ModerationCommand, Refusal, Since};

/// All commands, in the order in which `/help`, `server admin --help` and the docs list them.
///
/// A row has the usage, the aliases, what the command does, and the function that reads its arguments.
pub static COMMANDS: &[CommandSpec] = &[
    everyone("/who [ROOM]", &["names"], "list who is here, or in ROOM", who),
    everyone("/msg NAME TEXT", &["w", "whisper"], "send TEXT to NAME only", msg),
    everyone("/me TEXT", &[], "say what you are doing, as in /me waves", me),
    everyone("/nick NEWNAME", &[], "change your name", |args| Ok(Command::Rename(args.name()?.into()))),
    everyone("/ignore [NAME]", &[], "hide what NAME says, or list whom you ignore", ignore),
    everyone("/unignore NAME", &[], "show again what NAME says", unignore),
    everyone("/join ROOM", &[], "go to ROOM and leave this room; ROOM is written dev or #dev", |args| {
        args.room().map(Command::Join)
    }),
    everyone("/leave", &[], "go back to the lobby", |_| Ok(Command::Join(RoomName::lobby()))),
    everyone("/rooms", &[], "list the rooms", |_| Ok(Command::Rooms)),
    everyone("/topic [TEXT]", &[], "show the topic of this room, or set it; - removes it", topic),
    everyone("/hear [ROOM [since=WHEN]]", &[], "also hear ROOM, or list which rooms you hear", hear),
    everyone("/deaf ROOM", &[], "no longer hear ROOM", |args| args.room().map(Command::Deaf)),
    everyone("/say ROOM TEXT", &[], "say TEXT in ROOM, which you are in or hear", say_in),
    everyone("/last [N]", &[], "show the newest N messages", last),
    everyone("/since NUMBER|2h|12:03", &[], "show what was said after that", since),
    everyone("/grep [-N] TEXT", &[], "show the newest N messages with TEXT in them", grep),
    everyone("/ids on|off", &[], "show each message with its number and time", ids),
    everyone("/register", &[], "protect your name with a password", |_| Ok(Command::Account(AccountCommand::Register))),
    everyone("/password", &[], "change your password", |_| Ok(Command::Account(AccountCommand::ChangePassword))),
    everyone("/unregister", &[], "give up your registered name", |_| Ok(Command::Account(AccountCommand::Unregister))),
    everyone("/quit [REASON]", &["exit", "bye", "q"], "leave", quit),
    everyone("/ping [TOKEN]", &[], "get Pong TOKEN back, after all earlier replies", ping),
    everyone("/help", &["?"], "list the commands", |_| Ok(Command::Help)),
    operator("/kick NAME [REASON]", "disconnect NAME, who may come back", ModerationCommand::kick),
    operator(
        "/ban NAME|ADDR [DURATION] [REASON]",
        "keep NAME or ADDR out, forever or for a DURATION like 30m, 2 hours or 7 days",
        ModerationCommand::ban,
    ),
    operator("/unban NAME|ADDR", "lift a ban", ModerationCommand::unban),
    operator(
        "/mute NAME [DURATION] [REASON]",
        "let NAME only read, forever or for a DURATION like 30m, 2 hours or 7 days",
        ModerationCommand::mute,
    ),
    operator("/unmute NAME", "lift a mute", ModerationCommand::unmute),
    operator(
        "/close ROOM [REASON]",
        "send everyone in ROOM to the lobby and forget what was said there",
        ModerationCommand::close,
    ),
    administrator("ping", "check that the rooms work; prints pong", |_| Ok(AdminCommand::Ping)),
    administrator("op NAME", "make NAME an operator; the name must be registered", |args| {
        args.name().map(AdminCommand::Op)
    }),
    administrator("deop NAME", "take NAME's operator rights away", |args| args.name().map(AdminCommand::Deop)),
    administrator("say TEXT", "send TEXT to everyone in all rooms", say),
    administrator("list [people|names|bans|mutes]", "list who is in any room, registered names, bans or mutes", list),
    administrator("rooms", "list the rooms", |_| Ok(AdminCommand::Rooms)),
    administrator("keep ROOM DURATION|forever|default", "set how long messages of ROOM are kept", keep),
    administrator("stats", "count connections, people, names, bans and so on", |_| Ok(AdminCommand::Stats)),
    administrator(
        "register NAME",
        "register NAME, or change its password, which is asked for or read from standard input",
        |args| args.name().map(AdminCommand::Register),
    ),
    administrator("unregister NAME", "remove the registration of NAME", |args| {
        args.name().map(AdminCommand::Unregister)
    }),
];

/// One command.
#[derive(Debug)]
pub struct CommandSpec {
    /// Its name and arguments, as they are typed: `/nick NEWNAME`. Arguments in brackets are optional.
    pub usage: &'static str,
    /// Other names, without the slash.
    pub aliases: &'static [&'static str],
    /// What it does, in a few words that follow `usage: `.
    pub help: &'static str,
    /// Who may use it, and what its arguments mean.
    pub access: Access,
}

/// Who may use a command, and the function that reads its arguments.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// Everyone who has given a name.
    Everyone(Parser<Command>),
    /// Operators, in any room, and `server admin`.
    Operator(Parser<ModerationCommand>),
    /// Only `server admin`, where no slash is typed. It may have the name of a command for everyone.
    Administrator(Parser<AdminCommand>),
}

/// Reads the arguments of a command.
pub type Parser<C> = fn(Arguments<'_>) -> Result<C, Refusal>;

/// What a peer asks for. Names are boxed so that many waiting messages take little memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send a message to everyone else. `/me TEXT` is sent as it is.
    Say(SafeText),
    /// Send a private message.
    Tell {
        to: Box<Name>,
        text: SafeText,
    },
    Rename(Box<Name>),
    /// Hide the messages of a peer.
    Ignore(Box<Name>),
    /// Show them again.
    Unignore(Box<Name>),
    /// List the ignored names.
    Ignored,
    /// List who is here, or in another room.
    Who(Option<RoomName>),
    /// Go to a room, and leave the current one.
    Join(RoomName),
    /// List the rooms.
    Rooms,
    /// Show the topic of the current room, or change it.
    Topic(Option<TopicChange>),
    /// Also hear a room, from this point on.
    Hear(RoomName, Option<Since>),
    /// List the rooms that are heard.
    Heard,
    /// No longer hear a room.
    Deaf(RoomName),
    /// Say something in a room that the peer is in or hears.
    SayIn(RoomName, SafeText),
    /// Show messages with numbers, or without.
    Ids(bool),
    /// Show everything that was said after this.
    Since(Since),
    /// Show this many of the newest messages.
    Last(usize),
    /// Search the messages.
    Grep(Box<Grep>),
    Account(AccountCommand),
    Moderation(Box<ModerationCommand>),
    Help,
    /// Reply, so that the peer knows what has arrived.
    Ping(Option<SafeText>),
    /// Leave. The reason is cut to [`REASON_CHARS`] characters.
    Quit(Option<SafeText>),
}

/// A new topic of a room. It is cut to [`TOPIC_CHARS`] characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicChange {
    Set(SafeText),
    Remove,
}

/// What to search for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grep {
    pub text: SafeText,
    /// How many messages to show.
    pub count: usize,
}

/// A command about one's own account. Each secret follows on a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountCommand {
    /// Protect the name with a password.
    Register,
    /// Change the password.
    ChangePassword,
    /// Delete the account.
    Unregister,
}

/// A request of `server admin`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminCommand {
    /// Check that the broker works.
    Ping,
    /// A command that operators can also use.
    Moderation(ModerationCommand),
    /// Make the owner of a registered name an operator.
    Op(Name),
    /// Remove operator status.
    Deop(Name),
    /// Register a name, or change its password. The password is the next line.
    Register(Name),
    /// Remove a registration.
    Unregister(Name),
    /// Send an announcement to everyone.
    Say(SafeText),
    List(Listing),
    /// List the rooms.
    Rooms,
    /// How long messages of a room are kept: `None` means as in other rooms, and `Some(None)` forever.
    Keep(RoomName, Option<Option<Duration>>),
    /// Show statistics.
    Stats,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Who is in any room.
    People,
    Names,
    Bans,
    Mutes,
}

impl Command {
    /// Parses a line. Commands ignore ASCII case.
    ///
    /// # Errors
    /// The [`Refusal`] to reply with.
    pub fn parse(line: Line) -> Result<Self, Refusal> {
        let mut text = match line {
            Line::Text(text) => text,
            Line::NotUtf8 => return Err(Refusal::NotUtf8),
            Line::TooLong => return Err(Refusal::LineTooLong),
            Line::Endless => return Err(Refusal::Endless),
        };
        if let Some(slash) = find_slash(&text) {
            let rest = &text[slash + 1..];
            if !rest.starts_with('/') {
                return Self::parse_slash(rest);
            }
            text.remove(slash);
        }
        Ok(Self::Say(SafeText::new(text)))
    }

    /// Whether it changes which rooms the peer reads.
    pub fn moves(&self) -> bool {
        matches!(self, Self::Join(_) | Self::Hear(..) | Self::Deaf(_))
    }

    /// Whether the reply can be much longer than those to other commands.
    pub fn has_long_answer(&self) -> bool {
        matches!(self, Self::Who(_) | Self::Rooms | Self::Ignored | Self::Help)
    }

    fn parse_slash(line: &str) -> Result<Self, Refusal> {
        let (word, rest) = split_word(line);
        for command in COMMANDS.iter().filter(|command| command.is_called(word)) {
            let arguments = Arguments::new(rest, command.usage);
            match command.access {
                Access::Everyone(parse) => return parse(arguments),
                Access::Operator(parse) => return parse(arguments).map(Box::new).map(Self::Moderation),
                Access::Administrator(_) => {}
            }
        }
        Err(Refusal::UnknownCommand(SafeText::excerpt(&format!("/{word}"), QUOTED_CHARS)))
    }
}

impl AdminCommand {
    /// Parses the first line of a request at the control socket: a command without its slash.
    ///
    /// # Errors
    /// The [`Refusal`] to reply with.
    pub fn parse(line: &str) -> Result<Self, Refusal> {
        let (word, rest) = split_word(line);
        for command in COMMANDS.iter().filter(|command| command.is_called(word)) {
            let arguments = Arguments::new(rest, command.usage.trim_start_matches('/'));
            match command.access {
                Access::Everyone(_) => {}
                Access::Operator(parse) => return parse(arguments).map(Self::Moderation),
                Access::Administrator(parse) => return parse(arguments),
            }
        }
        Err(Refusal::UnknownCommand(SafeText::excerpt(word, QUOTED_CHARS)))
    }
}

impl CommandSpec {
    /// Its name, without the slash.
    pub fn name(&self) -> &'static str {
        let usage = self.usage.trim_start_matches('/');
        usage.split_once(' ').map_or(usage, |(name, _)| name)
    }

    /// Its arguments, as shown in the usage.
    pub fn arguments(&self) -> &'static str {
        self.usage.split_once(' ').map_or("", |(_, arguments)| arguments)
    }

    pub(crate) fn is_called(&self, word: &str) -> bool {
        [self.name()].iter().chain(self.aliases).any(|name| name.eq_ignore_ascii_case(word))
    }
}

const fn everyone(
    usage: &'static str,
    aliases: &'static [&'static str],
    help: &'static str,
    parse: Parser<Command>,
) -> CommandSpec {
    CommandSpec { usage, aliases, help, access: Access::Everyone(parse) }
}

const fn operator(usage: &'static str, help: &'static str, parse: Parser<ModerationCommand>) -> CommandSpec {
    CommandSpec { usage, aliases: &[], help, access: Access::Operator(parse) }
}

const fn administrator(usage: &'static str, help: &'static str, parse: Parser<AdminCommand>) -> CommandSpec {
    CommandSpec { usage, aliases: &[], help, access: Access::Administrator(parse) }
}

fn msg(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let (to, text) = arguments.split()?;
    if text.is_empty() {
        return Err(arguments.wrong());
    }
    // Nobody here has an invalid name.
    let to = Name::parse(to).map_err(|_| Refusal::NoSuchUser(SafeText::excerpt(to, QUOTED_CHARS)))?;
    Ok(Command::Tell { to: Box::new(to), text: SafeText::new(text.to_owned()) })
}

/// A message like any other. Clients may show it as an action, so they get it in one form.
fn me(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::Say(SafeText::new(format!("/me {}", arguments.required()?))))
}

fn who(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::Who(arguments.optional().map(|_| arguments.room()).transpose()?))
}

fn topic(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::Topic(arguments.optional().map(|text| match text {
        "-" => TopicChange::Remove,
        _ => TopicChange::Set(SafeText::excerpt(text, TOPIC_CHARS)),
    })))
}

fn hear(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let Some(text) = arguments.optional() else { return Ok(Command::Heard) };
    let (room, rest) = split_word(text);
    let room = RoomName::parse(room)?;
    if rest.is_empty() {
        return Ok(Command::Hear(room, None));
    }
    match rest.split_once('=') {
        Some((option, when)) if option.eq_ignore_ascii_case("since") => Ok(Command::Hear(room, Some(when.parse()?))),
        _ => Err(arguments.wrong()),
    }
}

/// As in other messages, `/me TEXT` is said as it is, and `//x` too: no command can follow the room.
fn say_in(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let (room, text) = arguments.split()?;
    let room = RoomName::parse(room)?;
    if text.is_empty() { Err(arguments.wrong()) } else { Ok(Command::SayIn(room, SafeText::new(text.to_owned()))) }
}

fn ignore(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    match arguments.optional() {
        None => Ok(Command::Ignored),
        Some(name) => Ok(Command::Ignore(Box::new(Name::parse(name)?))),
    }
}

fn unignore(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let name = arguments.required()?;
    // An invalid name cannot be ignored either.
    let name = Name::parse(name).map_err(|_| Refusal::NotIgnored(SafeText::excerpt(name, QUOTED_CHARS)))?;
    Ok(Command::Unignore(Box::new(name)))
}

fn last(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let count = arguments.optional().map_or(Some(LAST_DEFAULT), parse_count).filter(|&count| count > 0);
    count.map(Command::Last).ok_or(arguments.wrong())
}

fn since(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    arguments.required()?.parse().map(Command::Since)
}

fn grep(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    let (first, rest) = arguments.split()?;
    let count = first.strip_prefix('-').filter(|count| count.bytes().all(|byte| byte.is_ascii_digit()));
    let (count, text) = match count.map(parse_count) {
        None => (LAST_DEFAULT, arguments.required()?),
        Some(Some(count @ 1..=GREP_MOST)) => (count, rest),
        Some(_) => return Err(arguments.wrong()),
    };
    if text.is_empty() {
        return Err(arguments.wrong());
    }
    Ok(Command::Grep(Box::new(Grep { text: SafeText::new(text.to_owned()), count })))
}

fn ids(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    parse_switch(arguments.required()?).map(Command::Ids).ok_or(arguments.wrong())
}

fn quit(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::Quit(arguments.optional().map(|reason| SafeText::excerpt(reason, REASON_CHARS))))
}

fn ping(arguments: Arguments<'_>) -> Result<Command, Refusal> {
    Ok(Command::Ping(arguments.optional().map(|token| SafeText::excerpt(token, PING_TOKEN_CHARS))))
}

fn say(arguments: Arguments<'_>) -> Result<AdminCommand, Refusal> {
    Ok(AdminCommand::Say(SafeText::new(arguments.required()?.to_owned())))
}

fn list(arguments: Arguments<'_>) -> Result<AdminCommand, Refusal> {
    Ok(AdminCommand::List(match arguments.optional() {
        None | Some("people") => Listing::People,
        Some("names") => Listing::Names,
        Some("bans") => Listing::Bans,
        Some("mutes") => Listing::Mutes,
        Some(_) => return Err(arguments.wrong()),
    }))
}

fn keep(arguments: Arguments<'_>) -> Result<AdminCommand, Refusal> {
    let (room, time) = arguments.split()?;
    let room = RoomName::parse(room)?;
    if time.eq_ignore_ascii_case("default") {
        return Ok(AdminCommand::Keep(room, None));
    }
    // No reason follows, so the refusal must not speak of one.
    match split_time(time).map_err(|_| Refusal::BadDuration)? {
        (None, None) if !time.eq_ignore_ascii_case("forever") => Err(arguments.wrong()),
        (time, None) => Ok(AdminCommand::Keep(room, Some(time))),
        (_, Some(_)) => Err(arguments.wrong()),
    }
}

#[cfg(test)]
mod tests;
