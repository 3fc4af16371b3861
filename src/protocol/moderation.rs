//! Moderation commands, from operators or from `server admin`.

use std::fmt;
use std::time::Duration;

use crate::limits::{QUOTED_CHARS, REASON_CHARS, SANCTION_MOST};
use crate::model::address::{Network, PeerAddr};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::Refusal;
use crate::protocol::arguments::Arguments;
use crate::protocol::duration::{Mistyped, split_duration};

/// The target of a ban.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Banned {
    /// Everyone with this name.
    Name(Name),
    /// Everyone from this network.
    Network(Network),
}

impl Banned {
    /// Whether it is also spelled the same way.
    pub(crate) fn is_written_like(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => one.as_str() == other.as_str(),
            _ => self == other,
        }
    }
}

/// A moderation command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModerationCommand {
    /// Disconnect a peer, who may come back.
    Kick { whom: Name, reason: Option<SafeText> },
    /// Disconnect the target and keep it out.
    Ban {
        whom: Banned,
        /// `None` means forever.
        time: Option<Duration>,
        reason: Option<SafeText>,
    },
    /// Lift a ban.
    Unban { whom: Banned },
    /// Let a peer read, but not write.
    Mute {
        whom: Name,
        /// `None` means forever.
        time: Option<Duration>,
        reason: Option<SafeText>,
    },
    /// Lift a mute.
    Unmute { whom: Name },
    /// Send everyone in a room to the lobby, and forget what was said there. The room is never the lobby.
    Close { room: RoomName, reason: Option<SafeText> },
}

impl ModerationCommand {
    pub(super) fn kick(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        let (whom, rest) = arguments.split()?;
        Ok(Self::Kick { whom: parse_name(whom)?, reason: reason(rest) })
    }

    pub(super) fn ban(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        let (whom, rest) = arguments.split()?;
        let (time, reason) = split_time(rest)?;
        Ok(Self::Ban { whom: parse_banned(whom)?, time, reason })
    }

    pub(super) fn unban(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        Ok(Self::Unban { whom: parse_banned(arguments.one_word()?)? })
    }

    pub(super) fn mute(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        let (whom, rest) = arguments.split()?;
        let (time, reason) = split_time(rest)?;
        Ok(Self::Mute { whom: parse_name(whom)?, time, reason })
    }

    pub(super) fn unmute(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        Ok(Self::Unmute { whom: parse_name(arguments.one_word()?)? })
    }

    pub(super) fn close(arguments: Arguments<'_>) -> Result<Self, Refusal> {
        let (room, rest) = arguments.split()?;
        let room = RoomName::parse(room)?;
        if room.is_lobby() { Err(Refusal::CannotClose) } else { Ok(Self::Close { room, reason: reason(rest) }) }
    }

    /// Whether it affects a peer with these names and this address.
    pub fn concerns(&self, names: &[&Name], from: PeerAddr) -> bool {
        match self {
            Self::Kick { whom, .. } | Self::Mute { whom, .. } | Self::Unmute { whom } => names.contains(&whom),
            Self::Ban { whom: Banned::Name(whom), .. } | Self::Unban { whom: Banned::Name(whom) } => {
                names.contains(&whom)
            }
            Self::Ban { whom: Banned::Network(source), .. } => source.contains(from.network()),
            Self::Unban { whom: Banned::Network(_) } | Self::Close { .. } => false,
        }
    }
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Network(source) => source.fmt(f),
        }
    }
}

/// An invalid name belongs to nobody.
fn parse_name(text: &str) -> Result<Name, Refusal> {
    Name::parse(text).map_err(|_| Refusal::NoSuchUser(SafeText::excerpt(text, QUOTED_CHARS)))
}

/// An address is treated as one, even if it is also a valid name.
fn parse_banned(text: &str) -> Result<Banned, Refusal> {
    match text.parse() {
        Ok(source) => Ok(Banned::Network(source)),
        Err(error) if looks_like_address(text) => Err(Refusal::BadNetwork(error)),
        Err(_) => parse_name(text).map(Banned::Name),
    }
}

/// Whether the text was meant as an address or network: `300.1.1.1` must not become a ban of a name that nobody has.
/// Names contain no colons.
fn looks_like_address(text: &str) -> bool {
    text.contains(['/', ':'])
        || text.split('.').count() > 2 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// The duration at the start of a text, if there is one, and the reason after it.
pub(super) fn split_time(text: &str) -> Result<(Option<Duration>, Option<SafeText>), Refusal> {
    let (time, rest) = split_duration(text).map_err(|Mistyped| Refusal::BadTime)?;
    if time.is_some_and(|time| time.is_zero() || time > SANCTION_MOST) {
        return Err(Refusal::BadTime);
    }
    Ok((time, reason(rest)))
}

fn reason(text: &str) -> Option<SafeText> {
    let text = text.trim_end();
    (!text.is_empty()).then(|| SafeText::excerpt(text, REASON_CHARS))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::address::InvalidNetwork;
    use crate::protocol::{Command, Line};

    fn parse(line: &str) -> Result<ModerationCommand, Refusal> {
        match Command::parse(Line::Text(format!("/{line}")))? {
            Command::Moderation(command) => Ok(*command),
            other => panic!("{other:?}"),
        }
    }

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn safe(text: &str) -> Option<SafeText> {
        Some(SafeText::new(text.to_owned()))
    }

    #[test]
    fn commands_are_parsed_with_durations_and_reasons() {
        let hour = Some(Duration::from_secs(3600));
        let bob = Banned::Name(name("Bob"));
        assert_eq!(parse("kick Bob"), Ok(ModerationCommand::Kick { whom: name("Bob"), reason: None }));
        assert_eq!(
            parse("kick Bob 1h off "),
            Ok(ModerationCommand::Kick { whom: name("Bob"), reason: safe("1h off") })
        );
        assert_eq!(parse("ban Bob"), Ok(ModerationCommand::Ban { whom: bob.clone(), time: None, reason: None }));
        assert_eq!(parse("ban Bob 1h"), Ok(ModerationCommand::Ban { whom: bob.clone(), time: hour, reason: None }));
        assert_eq!(
            parse("ban Bob 1h  a  b"),
            Ok(ModerationCommand::Ban { whom: bob.clone(), time: hour, reason: safe("a  b") })
        );
        assert_eq!(
            parse("ban Bob 2 much"),
            Ok(ModerationCommand::Ban { whom: bob.clone(), time: None, reason: safe("2 much") })
        );
        let ten = Some(Duration::from_secs(600));
        assert_eq!(
            parse("ban Bob 10 minutes"),
            Ok(ModerationCommand::Ban { whom: bob.clone(), time: ten, reason: None })
        );
        assert_eq!(
            parse("ban Bob 10 minutes a  b "),
            Ok(ModerationCommand::Ban { whom: bob.clone(), time: ten, reason: safe("a  b") })
        );
        assert_eq!(
            parse("mute Bob for 10 min"),
            Ok(ModerationCommand::Mute { whom: name("Bob"), time: ten, reason: None })
        );
        assert_eq!(
            parse("ban Bob forever x"),
            Ok(ModerationCommand::Ban { whom: bob.clone(), time: None, reason: safe("x") })
        );
        assert_eq!(parse("unban Bob"), Ok(ModerationCommand::Unban { whom: bob }));
        assert_eq!(parse("mute Bob 60m"), Ok(ModerationCommand::Mute { whom: name("Bob"), time: hour, reason: None }));
        assert_eq!(parse("unmute Bob"), Ok(ModerationCommand::Unmute { whom: name("Bob") }));
    }

    #[test]
    fn any_room_but_the_lobby_can_be_closed() {
        let dev = RoomName::parse("dev").unwrap();
        assert_eq!(parse("close dev"), Ok(ModerationCommand::Close { room: dev.clone(), reason: None }));
        assert_eq!(parse("close #dev 1h  off "), Ok(ModerationCommand::Close { room: dev, reason: safe("1h  off") }));
        assert_eq!(parse("close lobby x"), Err(Refusal::CannotClose));
        assert_eq!(parse("close Dev"), Err(Refusal::BadRoom(crate::model::BadRoomName)));
    }

    #[test]
    fn addresses_and_names_are_told_apart() {
        for address in ["192.0.2.1", "192.0.2.1/32", "2001:db8::1", "2001:db8::/64", "fe80::1%2", "fe80::/64"] {
            let whom = Banned::Network(address.parse().unwrap());
            assert_eq!(parse(&format!("unban {address}")), Ok(ModerationCommand::Unban { whom }));
        }
        for address in ["300.1.1.1", "1.2.3", "192.0.2.1.1", "192.0.2.0/24", "fe80::1", "2001:db8::g", "user:Bob"] {
            assert_eq!(parse(&format!("ban {address}")), Err(Refusal::BadNetwork(InvalidNetwork)), "{address}");
        }
        assert_eq!(parse("unban 192.0.2.x"), Ok(ModerationCommand::Unban { whom: Banned::Name(name("192.0.2.x")) }));
        assert_eq!(parse("unban 192.0.2.0/24"), Err(Refusal::BadNetwork(InvalidNetwork)));
    }

    #[test]
    fn missing_or_extra_arguments_are_refused_with_the_usage() {
        for (line, usage) in [
            ("kick", "/kick NAME [REASON]"),
            ("ban", "/ban NAME|ADDR [DURATION] [REASON]"),
            ("unban", "/unban NAME|ADDR"),
            ("unban Bob now", "/unban NAME|ADDR"),
            ("mute", "/mute NAME [DURATION] [REASON]"),
            ("unmute Bob now", "/unmute NAME"),
            ("close", "/close ROOM [REASON]"),
        ] {
            assert_eq!(parse(line), Err(Refusal::BadArguments(usage)));
        }
    }

    #[test]
    fn an_invalid_duration_is_refused() {
        assert_eq!(parse("ban Bob 0s"), Err(Refusal::BadTime));
        for time in ["1000years", "1000 years", "0 minutes", "-5m", "30mspam", "5minuts", "5 minuts"] {
            assert_eq!(parse(&format!("mute Bob {time} spam")), Err(Refusal::BadTime), "{time}");
        }
    }
}
