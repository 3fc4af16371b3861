//! What operators do to others: written down first, then done, then recorded with who, whom and why.

use std::time::{Duration, SystemTime};

use futures::channel::oneshot;

use super::House;
use crate::journal::{self, Record};
use crate::protocol::{Act, Banned, Name, Refusal, SafeText};
use crate::registry::{Registry, Sanction};
use crate::room::{Event, Mute, Order, Person, banned, until};

impl House {
    /// Does what `by` wants, and says what came of it.
    pub(super) async fn perform(&self, by: &SafeText, act: Act) -> Result<SafeText, Refusal> {
        let registry = self.config.admission.registry.as_ref().ok_or(Refusal::NoRegistry)?;
        match act {
            Act::Kick { whom, reason } => self.kick(by, whom, reason).await,
            Act::Ban { whom, time, reason } => self.ban(registry, by, whom, (time, reason)).await,
            Act::Unban { whom } => self.unban(registry, by, whom).await,
            Act::Mute { whom, time, reason } => self.mute(registry, by, whom, (time, reason)).await,
            Act::Unmute { whom } => self.unmute(registry, by, whom).await,
        }
    }

    async fn kick(&self, by: &SafeText, whom: Name, reason: Option<SafeText>) -> Result<SafeText, Refusal> {
        let refusal = Refusal::Kicked(words("you are sent out", reason.as_ref()));
        let gone = self.expel(Banned::Name(whom.clone()), refusal, words(&format!("kicked by {by}"), reason.as_ref()));
        let gone = gone.await;
        if gone.is_empty() {
            return Err(Refusal::NoSuchUser((&whom).into()));
        }
        self.record("kick", by, whom.as_str(), reason, None);
        Ok(SafeText::new(format!("Kicked: {}.", list(&gone))))
    }

    async fn ban(
        &self,
        registry: &Registry,
        by: &SafeText,
        whom: Banned,
        (time, reason): (Option<Duration>, Option<SafeText>),
    ) -> Result<SafeText, Refusal> {
        let sanction = impose(by, time, reason.as_ref());
        let end = sanction.until();
        let refusal = banned(&sanction);
        let kept = registry.ban(whom.clone(), sanction).await;
        kept.map_err(|error| self.not_done(error, SafeText::new(whom.to_string())))?;
        let gone = self.expel(whom.clone(), refusal, words(&format!("banned by {by}"), reason.as_ref())).await;
        self.record("ban", by, &whom.to_string(), reason, end);
        let here = if gone.is_empty() { "nobody here".to_owned() } else { list(&gone) };
        Ok(SafeText::new(format!("Banned: {whom}{}; it concerns {here}.", until(end))))
    }

    async fn unban(&self, registry: &Registry, by: &SafeText, whom: Banned) -> Result<SafeText, Refusal> {
        let lifted = registry.unban(whom.clone(), SystemTime::now()).await;
        let was_banned = lifted.map_err(|error| self.not_done(error, SafeText::new(whom.to_string())))?;
        if !was_banned {
            return Err(Refusal::NotSanctioned(SafeText::new(format!("{whom} is not banned"))));
        }
        self.record("unban", by, &whom.to_string(), None, None);
        Ok(SafeText::new(format!("No longer banned: {whom}.")))
    }

    async fn mute(
        &self,
        registry: &Registry,
        by: &SafeText,
        whom: Name,
        (time, reason): (Option<Duration>, Option<SafeText>),
    ) -> Result<SafeText, Refusal> {
        let sanction = impose(by, time, reason.as_ref());
        let end = sanction.until();
        let kept = registry.mute(whom.clone(), sanction).await;
        kept.map_err(|error| self.not_done(error, (&whom).into()))?;
        let muted = self.set_mute(whom.clone(), Some(Mute { until: end })).await;
        self.record("mute", by, whom.as_str(), reason, end);
        let here = if muted.is_empty() { "nobody here".to_owned() } else { list(&muted) };
        Ok(SafeText::new(format!("Muted: {whom}{}; it concerns {here}.", until(end))))
    }

    async fn unmute(&self, registry: &Registry, by: &SafeText, whom: Name) -> Result<SafeText, Refusal> {
        let lifted = registry.unmute(whom.clone(), SystemTime::now()).await;
        if !lifted.map_err(|error| self.not_done(error, (&whom).into()))? {
            return Err(Refusal::NotSanctioned(SafeText::new(format!("{whom} is not muted"))));
        }
        self.set_mute(whom.clone(), None).await;
        self.record("unmute", by, whom.as_str(), None, None);
        Ok(SafeText::new(format!("No longer muted: {whom}.")))
    }

    async fn expel(&self, whom: Banned, refusal: Refusal, reason: SafeText) -> Vec<Person> {
        self.order(|answer| Order::Expel { whom, refusal, reason, answer }).await
    }

    async fn set_mute(&self, whom: Name, mute: Option<Mute>) -> Vec<Person> {
        self.order(|answer| Order::Mute { whom, mute, answer }).await
    }

    /// Who it concerns. When the room is over, nobody.
    pub(super) async fn order(&self, order: impl FnOnce(oneshot::Sender<Vec<Person>>) -> Order) -> Vec<Person> {
        let (answer, answered) = oneshot::channel();
        let _ = self.inbox.send(Event::Order(Box::new(order(answer)))).await;
        answered.await.unwrap_or_default()
    }

    /// Notes an act in the log.
    pub(super) fn record(
        &self,
        act: &'static str,
        by: &SafeText,
        whom: &str,
        why: Option<SafeText>,
        end: Option<SystemTime>,
    ) {
        let (by, whom) = (by.clone(), SafeText::new(whom.to_owned()));
        self.journal.note(Record::Acted(journal::Act { act, by, whom, why, until: end }));
    }
}

fn impose(by: &SafeText, time: Option<Duration>, reason: Option<&SafeText>) -> Sanction {
    let now = SystemTime::now();
    // Times are read with a limit, so it cannot be too late for a clock.
    let end = time.and_then(|time| now.checked_add(time));
    Sanction::new(by.as_str(), reason.map(SafeText::as_str), now, end)
}

/// What happened, and why.
fn words(what: &str, reason: Option<&SafeText>) -> SafeText {
    SafeText::new(reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}")))
}

/// Who they are and where they come from, so that an operator can ban an address.
fn list(people: &[Person]) -> String {
    let each: Vec<_> = people.iter().map(|person| format!("{} from {}", person.name, person.from.source())).collect();
    each.join(", ")
}
