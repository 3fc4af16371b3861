//! Carries out moderation commands. Each is stored on disk, then applied in the room, then logged. Only a room is closed
//! before that is stored, so that its people and its messages go at once.

use std::fmt;
use std::time::{Duration, SystemTime};

use futures::channel::oneshot;

use crate::accounts::{Accounts, Sanction};
use crate::log;
use crate::log::Record;
use crate::model::{Name, PeerId, RoomName, SafeText};
use crate::protocol::{Banned, LeaveReason, ModerationCommand, Refusal};
use crate::room::sanctions::{banned, suspended, until};
use crate::room::{AdminRequest, Event, Mute, Person};
use crate::server::shared::Shared;

/// Who moderates, or changes an account.
#[derive(Debug, Clone)]
pub(crate) enum Actor {
    /// The user with this ID at the control socket. Windows does not tell it.
    Administrator(Option<u32>),
    /// A peer in the room.
    Peer { peer: PeerId, name: Name, account: Option<Name> },
}

impl Actor {
    fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Administrator(_) => None,
            Self::Peer { peer, .. } => Some(*peer),
        }
    }

    fn account(&self) -> Option<&Name> {
        match self {
            Self::Administrator(_) => None,
            Self::Peer { account, .. } => account.as_ref(),
        }
    }

    fn name(&self) -> SafeText {
        match self {
            Self::Administrator(Some(user)) => SafeText::new(format!("server admin (user {user})")),
            Self::Administrator(None) => SafeText::new("server admin".to_owned()),
            Self::Peer { name, .. } => name.into(),
        }
    }
}

/// The name, and the account if it has a different name. Names contain neither blanks nor parentheses.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { name, account: Some(account), .. } if account != name => {
                write!(f, "{name} (account {account})")
            }
            _ => self.name().fmt(f),
        }
    }
}

impl Shared {
    /// Carries out a command of a peer in the room. Returns the text of the reply.
    pub(crate) async fn perform_for(&self, person: &Person, act: ModerationCommand) -> Result<SafeText, Refusal> {
        if !self.auth.is_operator(person.account_id) {
            return Err(Refusal::NotOperator);
        }
        if let Some(mute) = person.mute {
            return Err(suspended(mute));
        }
        let by = self.actor(person);
        let names: Vec<_> = [&person.name].into_iter().chain(by.account()).collect();
        if act.concerns(&names, person.from) {
            return Err(Refusal::IsSelf);
        }
        self.perform(&by, act).await
    }

    pub(crate) fn actor(&self, person: &Person) -> Actor {
        Actor::Peer { peer: person.peer, name: person.name.clone(), account: self.account_name(person) }
    }

    /// Carries out a command. Returns the text of the reply.
    pub(crate) async fn perform(&self, by: &Actor, act: ModerationCommand) -> Result<SafeText, Refusal> {
        let accounts = self.auth.accounts().ok_or(Refusal::NoAccounts)?;
        match act {
            ModerationCommand::Kick { whom, reason } => self.kick(by, whom, reason).await,
            ModerationCommand::Ban { whom, time, reason } => self.ban(accounts, by, whom, (time, reason)).await,
            ModerationCommand::Unban { whom } => self.unban(accounts, by, whom).await,
            ModerationCommand::Mute { whom, time, reason } => self.mute(accounts, by, whom, (time, reason)).await,
            ModerationCommand::Unmute { whom } => self.unmute(accounts, by, whom).await,
            ModerationCommand::Close { room, reason } => self.close_room(by, room, reason).await,
        }
    }

    async fn close_room(&self, by: &Actor, room: RoomName, reason: Option<SafeText>) -> Result<SafeText, Refusal> {
        let (answer, answered) = oneshot::channel();
        let name = by.peer().map(|_| by.name());
        let request = AdminRequest::CloseRoom { room: room.clone(), by: name, reason: reason.clone(), answer };
        let _ = self.inbox.send(Event::AdminRequest(Box::new(request))).await;
        let Some(forgotten) = answered.await.ok().flatten() else { return Err(Refusal::NoSuchRoom(room)) };
        // Here it delays nobody else. Until it is on the disk, a crash could bring the room back.
        if let Err(error) = forgotten.await {
            self.log.note(Record::NotKept { why: error.to_string() });
            return Err(Refusal::CloseNotKept(room));
        }
        self.record("close", by, room.as_str(), reason, None);
        Ok(SafeText::new(format!("Closed: {room}.")))
    }

    async fn kick(&self, by: &Actor, whom: Name, reason: Option<SafeText>) -> Result<SafeText, Refusal> {
        let refusal = Refusal::Kicked(words("you were kicked", reason.as_ref()));
        let gone = self.expel(by, Banned::Name(whom.clone()), refusal, ("kicked", reason.clone())).await;
        if gone.is_empty() {
            return Err(Refusal::NoSuchUser((&whom).into()));
        }
        self.record("kick", by, whom.as_str(), reason, None);
        Ok(SafeText::new(format!("Kicked: {}.", list(&gone))))
    }

    async fn ban(
        &self,
        accounts: &Accounts,
        by: &Actor,
        whom: Banned,
        (time, reason): (Option<Duration>, Option<SafeText>),
    ) -> Result<SafeText, Refusal> {
        let sanction = impose(by, time, reason.as_ref());
        let (end, refusal) = (sanction.until(), banned(&sanction));
        let targets = self.targets(by, whom).await?;
        for whom in &targets {
            let kept = accounts.ban(whom.clone(), sanction.clone()).await;
            kept.map_err(|error| self.not_done(error, SafeText::new(whom.to_string())))?;
        }
        let mut gone = Vec::new();
        for whom in &targets {
            gone.extend(self.expel(by, whom.clone(), refusal.clone(), ("banned", reason.clone())).await);
        }
        let whom = describe(&targets);
        self.record("ban", by, &whom, reason, end);
        Ok(SafeText::new(format!("Banned: {whom}{}; affects {}.", until(end), list(&gone))))
    }

    async fn unban(&self, accounts: &Accounts, by: &Actor, whom: Banned) -> Result<SafeText, Refusal> {
        let lifted = accounts.unban(whom.clone(), SystemTime::now()).await;
        let was_banned = lifted.map_err(|error| self.not_done(error, SafeText::new(whom.to_string())))?;
        if !was_banned {
            return Err(Refusal::NotSanctioned(SafeText::new(format!("{whom} is not banned"))));
        }
        self.record("unban", by, &whom.to_string(), None, None);
        Ok(SafeText::new(format!("No longer banned: {whom}.")))
    }

    async fn mute(
        &self,
        accounts: &Accounts,
        by: &Actor,
        whom: Name,
        (time, reason): (Option<Duration>, Option<SafeText>),
    ) -> Result<SafeText, Refusal> {
        let sanction = impose(by, time, reason.as_ref());
        let end = sanction.until();
        let targets = self.targets(by, Banned::Name(whom)).await?;
        for name in names(&targets) {
            let kept = accounts.mute(name.clone(), sanction.clone()).await;
            kept.map_err(|error| self.not_done(error, name.into()))?;
        }
        let muted = self.set_mute(&targets, Some(Mute { until: end })).await;
        let whom = describe(&targets);
        self.record("mute", by, &whom, reason, end);
        Ok(SafeText::new(format!("Muted: {whom}{}; affects {}.", until(end), list(&muted))))
    }

    async fn unmute(&self, accounts: &Accounts, by: &Actor, whom: Name) -> Result<SafeText, Refusal> {
        let targets = self.targets(by, Banned::Name(whom.clone())).await?;
        let mut was_muted = false;
        for name in names(&targets) {
            let lifted = accounts.unmute(name.clone(), SystemTime::now()).await;
            was_muted |= lifted.map_err(|error| self.not_done(error, name.into()))?;
        }
        if !was_muted {
            return Err(Refusal::NotSanctioned(SafeText::new(format!("{whom} is not muted"))));
        }
        self.set_mute(&targets, None).await;
        let whom = describe(&targets);
        self.record("unmute", by, &whom, None, None);
        Ok(SafeText::new(format!("No longer muted: {whom}.")))
    }

    /// The targets of a command: the name, and the account that its holder is logged in to. Without the account, a
    /// sanction would end at the next login.
    async fn targets(&self, by: &Actor, whom: Banned) -> Result<Vec<Banned>, Refusal> {
        let Banned::Name(name) = &whom else { return Ok(vec![whom]) };
        let people = self.ask_room(AdminRequest::ListPeople).await;
        let holder = people.iter().find(|person| person.name == *name);
        let account = holder.and_then(|holder| self.account_name(holder)).filter(|account| account != name);
        if account.is_some() && account.as_ref() == by.account() {
            return Err(Refusal::IsSelf);
        }
        Ok([whom].into_iter().chain(account.map(Banned::Name)).collect())
    }

    /// The name of the account that a person is logged in to.
    fn account_name(&self, person: &Person) -> Option<Name> {
        let accounts = self.auth.accounts()?;
        Some(accounts.account_of(person.account_id?)?.name)
    }

    async fn expel(
        &self,
        by: &Actor,
        whom: Banned,
        refusal: Refusal,
        (act, why): (&str, Option<SafeText>),
    ) -> Vec<Person> {
        let reason = LeaveReason::Server { what: SafeText::new(format!("{act} by {by}")), why };
        self.ask_room(|answer| AdminRequest::Expel { whom, refusal, reason, by: by.peer(), answer }).await
    }

    /// Mutes or unmutes the targets in the room. Returns each affected person once.
    async fn set_mute(&self, targets: &[Banned], mute: Option<Mute>) -> Vec<Person> {
        let mut people: Vec<Person> = Vec::new();
        for whom in names(targets).cloned() {
            let concerned = self.ask_room(|answer| AdminRequest::Mute { whom, mute, answer }).await;
            people.extend(concerned);
        }
        people.sort_by_key(|person| person.peer);
        people.dedup_by_key(|person| person.peer);
        people
    }

    /// Sends a request to the broker. Returns the people it concerns: nobody if the room has ended.
    pub(crate) async fn ask_room(
        &self,
        request: impl FnOnce(oneshot::Sender<Vec<Person>>) -> AdminRequest,
    ) -> Vec<Person> {
        let (answer, answered) = oneshot::channel();
        let _ = self.inbox.send(Event::AdminRequest(Box::new(request(answer)))).await;
        answered.await.unwrap_or_default()
    }

    /// Logs a moderation command.
    pub(crate) fn record(
        &self,
        act: &'static str,
        by: &Actor,
        whom: &str,
        why: Option<SafeText>,
        end: Option<SystemTime>,
    ) {
        let (account, by, whom) = (by.account().cloned(), by.name(), SafeText::new(whom.to_owned()));
        self.log.note(Record::Moderation(log::Moderation { act, by, account, whom, why, until: end }));
    }
}

fn impose(by: &Actor, time: Option<Duration>, reason: Option<&SafeText>) -> Sanction {
    let now = SystemTime::now();
    // Durations are limited when they are parsed, so this does not overflow.
    let end = time.and_then(|time| now.checked_add(time));
    Sanction::new(&by.to_string(), reason.map(SafeText::as_str), now, end)
}

fn words(what: &str, reason: Option<&SafeText>) -> SafeText {
    SafeText::new(reason.map_or_else(|| what.to_owned(), |reason| format!("{what}: {reason}")))
}

fn names(targets: &[Banned]) -> impl Iterator<Item = &Name> {
    targets.iter().filter_map(|target| match target {
        Banned::Name(name) => Some(name),
        Banned::Network(_) => None,
    })
}

/// The targets, for replies and the log: a name, and possibly the account of its holder.
fn describe(targets: &[Banned]) -> String {
    let each: Vec<_> = targets.iter().map(Banned::to_string).collect();
    each.join(" and the account ")
}

/// Names and addresses, so that the operator can ban an address.
fn list(people: &[Person]) -> String {
    if people.is_empty() {
        return "nobody here".to_owned();
    }
    let each: Vec<_> = people.iter().map(|person| format!("{} from {}", person.name, person.from.network())).collect();
    each.join(", ")
}
