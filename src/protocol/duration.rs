//! Durations as people write them: `30m`, `2 h`, `10 minutes`, `1h30m`, `2 hours and 30 minutes`, `an hour`.
//!
//! Text that could be meant as a duration is either understood or an error, but never part of a reason. A ban meant for
//! ten minutes must not last forever because of a typo.

use std::time::Duration;

use crate::protocol::words::split_word;

/// The names of the units. humantime knows others, such as `h` and `mins`.
const UNITS: [&str; 14] = [
    "second", "seconds", "minute", "minutes", "hour", "hours", "day", "days", "week", "weeks", "month", "months",
    "year", "years",
];

/// Words that stand for a number before a unit. `five minutes` is not understood, but it must not become a ban forever
/// either.
const NUMBER_WORDS: [&str; 16] = [
    "half", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve", "fifteen", "twenty",
    "thirty", "few", "couple",
];

/// The text was meant as a duration, but is not a valid one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mistyped;

/// Splits off a duration at the start of `text`, if there is one. `forever` is split off too, and yields `None`.
pub(crate) fn split_duration(text: &str) -> Result<(Option<Duration>, &str), Mistyped> {
    let (word, rest) = split_word(text);
    if word.eq_ignore_ascii_case("forever") {
        return Ok((None, rest));
    }
    let is_for = word.eq_ignore_ascii_case("for") && Part::read(rest).is_some_and(|part| part.is_meant());
    let text = if is_for { rest } else { text };
    if is_in_words(text) { Err(Mistyped) } else { split_parts(text) }
}

/// Whether the text starts with a duration in words, such as `five minutes`, `half an hour` or `a couple of days`.
fn is_in_words(text: &str) -> bool {
    let mut words =
        text.split_whitespace().skip_while(|word| ["a", "for"].iter().any(|small| word.eq_ignore_ascii_case(small)));
    let is_number =
        words.next().is_some_and(|word| NUMBER_WORDS.iter().any(|number| word.eq_ignore_ascii_case(number)));
    let unit = words.find(|word| !["a", "an", "of"].iter().any(|small| word.eq_ignore_ascii_case(small)));
    is_number && unit.is_some_and(|word| looks_like_unit(split_letters(word).0))
}

fn split_parts(text: &str) -> Result<(Option<Duration>, &str), Mistyped> {
    let (mut total, mut rest) = (None, text);
    while let Some(part) = Part::read(rest) {
        match part.duration() {
            Some(time) => {
                total = Some(total.unwrap_or(Duration::ZERO).checked_add(time).ok_or(Mistyped)?);
                rest = part.what_follows();
            }
            None if part.is_meant() => return Err(Mistyped),
            None => break,
        }
    }
    Ok((total, rest))
}

/// A number and the letters after it, which may be a unit.
struct Part<'a> {
    number: &'a str,
    unit: &'a str,
    /// No space is between the two.
    is_glued: bool,
    rest: &'a str,
}

impl<'a> Part<'a> {
    /// Reads the start of a text. `a` and `an` count as numbers before a unit.
    fn read(text: &'a str) -> Option<Self> {
        let (word, after) = split_word(text);
        if ["a", "an", "one"].iter().any(|one| word.eq_ignore_ascii_case(one)) {
            let (unit, rest) = split_letters(after);
            return (unit.len() > 2 && is_unit(unit)).then_some(Self { number: "1", unit, is_glued: false, rest });
        }
        let unsigned = text.trim_start_matches(['+', '-']);
        let after = unsigned.trim_start_matches(|char: char| char.is_numeric() || ".,:".contains(char));
        let number = &text[..text.len() - after.len()];
        if !number.contains(char::is_numeric) {
            return None;
        }
        let (unit, rest) = split_letters(after.strip_prefix('-').unwrap_or(after).trim_start());
        Some(Self { number, unit, is_glued: after.starts_with(char::is_alphabetic), rest })
    }

    fn duration(&self) -> Option<Duration> {
        let ends = |char: char| char.is_whitespace() || char.is_numeric() || ",;:.".contains(char);
        if !is_unit(self.unit) || !(self.rest.is_empty() || self.rest.starts_with(ends)) {
            return None;
        }
        humantime::parse_duration(&format!("{}{}", self.number, normalize(self.unit))).ok()
    }

    /// Whether this is a duration or was meant as one.
    fn is_meant(&self) -> bool {
        match self.unit {
            // `10`, and `10 30m`.
            "" => self.rest.is_empty() || self.rest.starts_with(char::is_numeric),
            "st" | "nd" | "rd" | "th" if self.is_glued => false,
            unit => self.is_glued || is_unit(unit) || looks_like_unit(unit),
        }
    }

    /// The text after this part, without the separator before a further part or the reason.
    fn what_follows(&self) -> &'a str {
        let rest = self.rest.strip_prefix([',', ';', ':', '.']).unwrap_or(self.rest).trim_start();
        let (word, after) = split_word(rest);
        let continues = word == "and" && Self::read(after).is_some_and(|part| part.duration().is_some());
        if continues { after } else { rest }
    }
}

fn split_letters(text: &str) -> (&str, &str) {
    text.split_at(text.find(|char: char| !char.is_alphabetic()).unwrap_or(text.len()))
}

/// Whether this is a unit of at least a millisecond: `us` is a word in a reason.
fn is_unit(word: &str) -> bool {
    humantime::parse_duration(&format!("1{}", normalize(word))).is_ok_and(|time| time >= Duration::from_millis(1))
}

/// Units ignore case, except that `M` is a month and `m` a minute.
fn normalize(unit: &str) -> String {
    if unit == "M" { unit.to_owned() } else { unit.to_lowercase() }
}

/// Whether this is a unit with one typo, or with two in a long word.
fn looks_like_unit(word: &str) -> bool {
    let word = word.to_lowercase();
    let is_near = |unit: &&str| strsim::osa_distance(&word, unit) <= if unit.len() < 6 { 1 } else { 2 };
    word.chars().count() > 2 && UNITS.iter().any(is_near)
}

#[cfg(test)]
mod tests;
