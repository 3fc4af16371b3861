//! Removes telnet commands (RFC 854, 885, 1184) from a peer's bytes before they become lines, and answers them.
//!
//! It sits between the socket and [`LineDecoder`](crate::protocol::LineDecoder) and knows neither. The byte 0xFF never
//! occurs in UTF-8, so plain text is never touched. What only looks like telnet is passed on with its 0xFF, so that its
//! line is refused as not UTF-8. There are at most [`TELNET_ANSWERS`] answers, so two ends cannot keep each other busy.

use crate::limits::{SUBNEGOTIATION_BYTES, TELNET_ANSWERS};

/// Starts a telnet command. As data it is sent twice (RFC 854).
pub const IAC: u8 = 255;

const DONT: u8 = 254;
const DO: u8 = 253;
const WONT: u8 = 252;
const WILL: u8 = 251;
const SB: u8 = 250;
const ERASE_LINE: u8 = 248;
const ERASE_CHARACTER: u8 = 247;
const ARE_YOU_THERE: u8 = 246;
const ABORT_OUTPUT: u8 = 245;
const INTERRUPT: u8 = 244;
const BREAK: u8 = 243;
const SE: u8 = 240;
const ABORT: u8 = 238;
const SUSPEND: u8 = 237;
/// The first command. 239, END OF RECORD, is another.
const END_OF_FILE: u8 = 236;

/// The option ECHO (RFC 857).
const ECHO: u8 = 1;

/// The option TIMING-MARK (RFC 860).
const TIMING_MARK: u8 = 6;

/// A part of a peer's input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// Text, possibly with line endings.
    Text(&'a [u8]),
    /// Removes the last character of the unfinished line.
    EraseCharacter,
    /// Removes the unfinished line.
    EraseLine,
}

/// Removes telnet commands from a stream of bytes, however it is split.
#[derive(Debug, Default)]
pub struct Telnet {
    state: State,
    /// The state of the negotiation, once the peer has shown that it speaks telnet.
    spoken: Option<Box<Conversation>>,
    /// We have offered to echo, so the peer's answer needs no answer.
    has_offered_echo: bool,
}

/// What the next byte means.
#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC and this verb, WILL, WONT, DO or DONT: the option follows.
    Option(u8),
    /// Inside IAC SB ... IAC SE, with the number of bytes so far.
    Subnegotiation(usize),
    /// After an IAC inside a subnegotiation.
    SubnegotiationCommand(usize),
    /// After the end of file. This state is final.
    Ended,
}

#[derive(Debug, Default)]
struct Conversation {
    /// Answers that have not been sent yet.
    answers: Vec<u8>,
    /// Number of answers so far.
    given: usize,
    /// One bit for each option that we have refused to use, and for each that the peer must not use.
    refused: [u128; 2],
    disallowed: [u128; 2],
}

impl Telnet {
    /// Whether the peer has shown that it speaks telnet. Such a peer expects CR LF.
    pub fn is_spoken(&self) -> bool {
        self.spoken.is_some()
    }

    /// Whether the peer has ended its input without a half-close. Further input is ignored.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// Takes the answers to send to the peer. Often there are none.
    pub fn take_answers(&mut self) -> Vec<u8> {
        self.spoken.as_mut().map(|spoken| std::mem::take(&mut spoken.answers)).unwrap_or_default()
    }

    /// Makes a client hide what is typed next, by offering to echo it (RFC 857). The server does not echo it.
    pub fn hide_typing(&mut self) -> [u8; 3] {
        self.has_offered_echo = true;
        [IAC, WILL, ECHO]
    }

    /// Makes a client show typing again, with the line ending that it did not show. Other clients show both as a line
    /// of its own.
    pub fn show_typing(&mut self) -> [u8; 5] {
        [IAC, WONT, ECHO, b'\r', b'\n']
    }

    /// Passes on `bytes` without the telnet commands.
    pub fn decode(&mut self, bytes: &[u8], mut hand_on: impl FnMut(Piece<'_>)) {
        let mut rest = bytes;
        while !self.has_ended()
            && let Some((&byte, after)) = rest.split_first()
        {
            if !matches!(self.state, State::Text) {
                self.take(byte, &mut hand_on);
                rest = after;
                continue;
            }
            let end = memchr::memchr(IAC, rest).unwrap_or(rest.len());
            if end > 0 {
                hand_on(Piece::Text(&rest[..end]));
                rest = &rest[end..];
            } else {
                self.state = State::Command;
                rest = after;
            }
        }
    }

    /// Handles a byte of a command.
    fn take(&mut self, byte: u8, hand_on: &mut impl FnMut(Piece<'_>)) {
        self.state = match (self.state, byte) {
            (State::Command, WILL..=DONT) => State::Option(byte),
            (State::Command, SB) => State::Subnegotiation(0),
            (State::Command, END_OF_FILE..SB) => self.command(byte, hand_on),
            // The options 10 and 13 are long obsolete (RFC 652, 654), so this is garbage at the end of a line.
            (State::Option(_), b'\n' | b'\r') => not_telnet(byte, hand_on),
            (State::Option(verb), _) => self.option(verb, byte),
            // IAC IAC is the byte 255 itself. There is no command below the end of file.
            (State::Command, IAC) => {
                hand_on(Piece::Text(&[IAC]));
                State::Text
            }
            (State::Command | State::Text | State::Ended, _) => not_telnet(byte, hand_on),
            (State::Subnegotiation(length), IAC) => State::SubnegotiationCommand(length),
            (State::SubnegotiationCommand(_), SE) => {
                self.conversation();
                State::Text
            }
            (State::Subnegotiation(length) | State::SubnegotiationCommand(length), _) => {
                if length < SUBNEGOTIATION_BYTES {
                    State::Subnegotiation(length + 1)
                } else {
                    not_telnet(byte, hand_on)
                }
            }
        };
    }

    fn command(&mut self, command: u8, hand_on: &mut impl FnMut(Piece<'_>)) -> State {
        let conversation = self.conversation();
        match command {
            ARE_YOU_THERE => conversation.answer(b"[yes]\r\n"),
            ERASE_CHARACTER => hand_on(Piece::EraseCharacter),
            // Telnet clients send these for Ctrl-C, Ctrl-\ and Ctrl-Z, which at a terminal erase the line.
            ERASE_LINE | ABORT_OUTPUT | INTERRUPT | BREAK | ABORT | SUSPEND => hand_on(Piece::EraseLine),
            END_OF_FILE => return State::Ended,
            _ => {} // NOP, GA, the end of a record and the data mark ask for nothing.
        }
        State::Text
    }

    /// Refuses an option once. Answering an answer would never end (RFC 1143).
    fn option(&mut self, verb: u8, option: u8) -> State {
        let has_offered_echo = self.has_offered_echo;
        let conversation = self.conversation();
        match verb {
            DO | DONT if option == ECHO && has_offered_echo => {}
            // Linux telnet sends this after Ctrl-C, and discards ALL output until it is answered.
            DO if option == TIMING_MARK => conversation.answer(&[IAC, WILL, TIMING_MARK]),
            DO if is_news(&mut conversation.refused, option) => conversation.answer(&[IAC, WONT, option]),
            WILL if is_news(&mut conversation.disallowed, option) => conversation.answer(&[IAC, DONT, option]),
            _ => {}
        }
        State::Text
    }

    fn conversation(&mut self) -> &mut Conversation {
        self.spoken.get_or_insert_default()
    }
}

impl Conversation {
    fn answer(&mut self, answer: &[u8]) {
        if self.given < TELNET_ANSWERS {
            self.given += 1;
            self.answers.extend(answer);
        }
    }
}

/// Records an option, and returns whether it is new.
fn is_news(noted: &mut [u128; 2], option: u8) -> bool {
    let (half, bit) = (&mut noted[usize::from(option / 128)], 1 << (option % 128));
    let is_news = *half & bit == 0;
    *half |= bit;
    is_news
}

/// Passes on a byte that is not part of a telnet command, marked so that its line is refused.
fn not_telnet(byte: u8, hand_on: &mut impl FnMut(Piece<'_>)) -> State {
    hand_on(Piece::Text(&[IAC, byte]));
    State::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of all pieces with erasures as `<C` and `<L`, the answers, and whether telnet was spoken.
    fn decode(bytes: &[u8], cuts: &[usize]) -> (Vec<u8>, Vec<u8>, bool) {
        let (mut telnet, mut text, mut answers, mut start) = (Telnet::default(), Vec::new(), Vec::new(), 0);
        for &cut in cuts.iter().chain([&bytes.len()]) {
            telnet.decode(&bytes[start..cut], |piece| match piece {
                Piece::Text(piece) => text.extend(piece),
                Piece::EraseCharacter => text.extend(b"<C"),
                Piece::EraseLine => text.extend(b"<L"),
            });
            answers.extend(telnet.take_answers());
            start = cut;
        }
        (text, answers, telnet.is_spoken())
    }

    fn text(bytes: &[u8]) -> (Vec<u8>, bool) {
        let (text, _, spoken) = decode(bytes, &[]);
        (text, spoken)
    }

    #[test]
    fn an_answer_to_our_offer_to_echo_is_not_answered_and_nobody_elses_question_is_lost() {
        let mut telnet = Telnet::default();
        assert_eq!(telnet.hide_typing(), [IAC, WILL, ECHO]);
        telnet.decode(&[IAC, DO, ECHO], |_| unreachable!());
        assert_eq!(telnet.show_typing()[..3], [IAC, WONT, ECHO]);
        telnet.decode(&[IAC, DONT, ECHO, IAC, DO, 3], |_| unreachable!());
        assert_eq!(telnet.take_answers(), [IAC, WONT, 3]);
    }

    #[test]
    fn plain_text_is_passed_on_in_one_piece() {
        let mut pieces = Vec::new();
        Telnet::default().decode("Zoë\r\n".as_bytes(), |piece| match piece {
            Piece::Text(text) => pieces.push(text.to_owned()),
            other => panic!("{other:?}"),
        });
        assert_eq!(pieces, ["Zoë\r\n".as_bytes()]);
    }

    #[test]
    fn commands_options_and_subnegotiations_are_taken_out() {
        assert_eq!(text(b"a\xff\xf1b"), (b"ab".to_vec(), true));
        assert_eq!(text(b"\xff\xfd\x01\xff\xfb\x18Bob\n"), (b"Bob\n".to_vec(), true));
        assert_eq!(text(b"a\xff\xfa\x18\x00xterm\xff\xff\xff\xf0b"), (b"ab".to_vec(), true));
    }

    #[test]
    fn editing_commands_take_back_what_was_typed() {
        assert_eq!(text(b"ab\xff\xf7c\xff\xf8d\xff\xf4e").0, b"ab<Cc<Ld<Le");
    }

    #[test]
    fn ctrl_backslash_and_ctrl_z_take_the_line_back_and_the_end_of_a_record_is_nothing() {
        assert_eq!(text(b"a\xff\xeeb\xff\xedc\xff\xefd"), (b"a<Lb<Lcd".to_vec(), true));
    }

    #[test]
    fn after_the_end_of_file_nothing_is_handed_on_or_answered() {
        let (mut telnet, mut text) = (Telnet::default(), Vec::new());
        for bytes in [&b"last\xff"[..], b"\xecmore\xff\xf6", b"still more"] {
            telnet.decode(bytes, |piece| match piece {
                Piece::Text(piece) => text.extend(piece),
                other => panic!("{other:?}"),
            });
        }
        assert!(telnet.has_ended() && telnet.is_spoken());
        assert_eq!((text, telnet.take_answers()), (b"last".to_vec(), vec![]));
    }

    #[test]
    fn a_doubled_iac_is_the_byte_itself() {
        assert_eq!(text(b"a\xff\xffb"), (b"a\xffb".to_vec(), false));
    }

    #[test]
    fn bytes_that_only_look_like_telnet_are_kept() {
        assert_eq!(text(b"\xff\xfe\n"), (b"\xff\n".to_vec(), false));
        assert_eq!(text(b"\xffA\n"), (b"\xffA\n".to_vec(), false));
    }

    #[test]
    fn an_endless_subnegotiation_becomes_text_again() {
        let mut bytes = b"\xff\xfa".to_vec();
        bytes.extend([b'x'; SUBNEGOTIATION_BYTES + 1]);
        bytes.extend(b"y\n");
        assert_eq!(text(&bytes), (b"\xffxy\n".to_vec(), false));
    }

    #[test]
    fn an_option_is_refused_once_and_a_refusal_is_not_answered() {
        let (_, answers, _) = decode(b"\xff\xfd\x01\xff\xfd\x01\xff\xfb\x18\xff\xfb\x18\xff\xfe\x01\xff\xfc\x18", &[]);
        assert_eq!(answers, b"\xff\xfc\x01\xff\xfe\x18");
    }

    #[test]
    fn every_timing_mark_is_answered() {
        // What Ctrl-C in Linux telnet sends.
        let (text, answers, _) = decode(b"half\xff\xf4\xff\xfd\x06\xff\xf4\xff\xfd\x06", &[]);
        assert_eq!((text, answers), (b"half<L<L".to_vec(), b"\xff\xfb\x06\xff\xfb\x06".to_vec()));
    }

    #[test]
    fn are_you_there_is_answered() {
        assert_eq!(decode(b"\xff\xf6", &[]).1, b"[yes]\r\n");
    }

    #[test]
    fn a_flood_of_requests_is_answered_sixty_four_times() {
        assert_eq!(decode(&b"\xff\xfd\x06".repeat(100_000), &[]).1.len(), 3 * TELNET_ANSWERS);
    }
}
