//! Accounts: what a peer in the room does about its own, a secret line at a time.
//!
//! The session hands over the lines that are asked for here; none of them reaches the room. What the peer is told goes by way
//! of the broker, so it stands behind what was said before.

use std::time::SystemTime;

use async_std::task;
use futures::FutureExt;
use futures::future::select;

use super::House;
use super::operator::Actor;
use super::penalties::Offence;
use crate::journal::Record;
use crate::network::Networks;
use crate::origin::{Origin, Source};
use crate::protocol::{Errand, Line, Name, Notice, Refusal, Secret};
use crate::registry::{AccountId, Registry};
use crate::room::PeerId;

/// A peer, and what it wants to do about its account.
#[derive(Debug)]
pub(super) struct Dialogue {
    errand: Errand,
    by: Actor,
    /// The name that is to be registered, or is.
    name: Name,
    from: Origin,
    payer: Source,
    member: Option<AccountId>,
    next: Next,
}

/// What the next line is to be.
#[derive(Debug)]
enum Next {
    Present,
    New,
    /// The same again.
    Again(Secret),
}

impl Dialogue {
    /// Begins one. `None`: the peer is not in the room any more.
    ///
    /// Nobody on the way can read what the peer sends, if that `is_protected`.
    pub(super) async fn begin(
        house: &House,
        peer: PeerId,
        (payer, is_protected): (Source, bool),
        errand: Errand,
    ) -> Option<Result<Step, Refusal>> {
        let asked = house.who_is(peer).await?;
        let by = house.actor(&asked);
        let (admission, from, member) = (&house.config.admission, asked.from, asked.member);
        let Some(registry) = &admission.registry else { return Some(Err(Refusal::NoRegistry)) };
        if !is_protected {
            return Some(Err(Refusal::Unprotected));
        }
        // An operator may have taken the account away meanwhile.
        let account = member.and_then(|member| registry.account_of(member));
        let (name, next) = match (errand, account) {
            (Errand::Register, None) => (asked.name, Next::New),
            (Errand::Register, Some(account)) => return Some(Err(Refusal::AlreadyRegistered(account.name))),
            (_, Some(account)) => (account.name, Next::Present),
            (_, None) => return Some(Err(Refusal::NotRegistered)),
        };
        let this = Self { errand, by, name, from, payer, member, next };
        if let Err(refusal) = house.door.may_try(&this.networks()) {
            return Some(Err(refusal));
        }
        Some(Ok(Step::Ask(Box::new(this))))
    }

    /// Who pays for what is done.
    fn networks(&self) -> Networks {
        match self.errand {
            Errand::Register => Networks::of(self.payer),
            Errand::ChangePassword | Errand::Unregister => Networks::with_name(self.payer, &self.name),
        }
    }

    /// Takes the line that was asked for.
    pub(super) async fn take(mut self: Box<Self>, house: &House, peer: PeerId, line: Line) -> Result<Step, Refusal> {
        let secret = Secret::read(line)?;
        let registry = house.config.admission.registry.as_ref().ok_or(Refusal::NoRegistry)?;
        let networks = self.networks();
        match (std::mem::replace(&mut self.next, Next::New), self.errand) {
            (Next::Present, errand) => {
                let account = self.member.and_then(|member| registry.account_of(member));
                // What is too short is nobody's: it is a way out, and costs nothing.
                let secret = secret?;
                secret.check_strength()?;
                let tried = house.door.begin_try(&networks).await?;
                let is_right =
                    house.config.admission.verify(secret, account.map(|account| account.hash), &networks).await;
                if is_right == Ok(false) {
                    let (from, name) = (self.from, self.name.clone());
                    house.journal.note(Record::WrongPassword { peer, from, name });
                    drop(tried);
                    if from.is_this_machine() {
                        let pause = task::sleep(house.config.wrong_password_pause).boxed();
                        select(pause, house.stop.clone()).await;
                    }
                    return Err(Refusal::WrongPassword);
                }
                tried.forgive();
                is_right?;
                if errand == Errand::Unregister {
                    return unregister(house, registry, (peer, &self.by), self.member, self.name).await.map(Step::Done);
                }
                Ok(Step::Ask(self))
            }
            (Next::New, _) => {
                let secret = secret?;
                secret.check_strength()?;
                self.next = Next::Again(secret);
                Ok(Step::Ask(self))
            }
            (Next::Again(first), errand) => {
                if !secret.is_ok_and(|secret| secret.is(&first)) {
                    return Err(Refusal::PasswordsDiffer);
                }
                // A source has no more hashes made at once than it has tries.
                let tried = house.door.begin_try(&networks).await?;
                let hash = house.config.admission.hash(first, &networks).await;
                tried.forgive();
                let hash = hash?;
                if house.who_is(peer).await.is_none() {
                    // An operator has sent it out meanwhile.
                    return Err(Refusal::NotRegistered);
                }
                match (errand, self.member) {
                    (Errand::Register, _) => register(house, registry, (peer, &networks), self.name, hash).await,
                    (_, Some(member)) => change_password(house, registry, (member, &self.by), self.name, hash).await,
                    (_, None) => Err(Refusal::NotRegistered),
                }
                .map(Step::Done)
            }
        }
    }
}

/// What a line has led to.
pub(super) enum Step {
    /// The next line is asked for.
    Ask(Box<Dialogue>),
    /// All is done.
    Done(Notice),
}

impl Step {
    /// What the peer is told.
    pub(super) fn notice(&self) -> Notice {
        match self {
            Self::Ask(dialogue) => dialogue.next.question(),
            Self::Done(notice) => notice.clone(),
        }
    }
}

impl Next {
    fn question(&self) -> Notice {
        match self {
            Self::Present => Notice::SendPassword,
            Self::New => Notice::SendNewPassword,
            Self::Again(_) => Notice::SendItAgain,
        }
    }
}

async fn register(
    house: &House,
    registry: &Registry,
    (peer, networks): (PeerId, &Networks),
    name: Name,
    hash: String,
) -> Result<Notice, Refusal> {
    let registered = registry.register(name.clone(), hash, SystemTime::now()).await;
    let account = registered.map_err(|error| house.not_done(error, (&name).into()))?;
    house.door.charge(networks, Offence::Registration);
    house.enrol(peer, Some(account.id)).await;
    let by = Actor::Peer { peer, name: name.clone(), account: Some(account.name) };
    house.record("register", &by, name.as_str(), None, None);
    Ok(Notice::Registered(name))
}

async fn change_password(
    house: &House,
    registry: &Registry,
    (member, by): (AccountId, &Actor),
    name: Name,
    hash: String,
) -> Result<Notice, Refusal> {
    registry.change_password(member, hash).await.map_err(|error| house.not_done(error, (&name).into()))?;
    house.record("password", by, name.as_str(), None, None);
    Ok(Notice::PasswordChanged(name))
}

async fn unregister(
    house: &House,
    registry: &Registry,
    (peer, by): (PeerId, &Actor),
    member: Option<AccountId>,
    name: Name,
) -> Result<Notice, Refusal> {
    let member = member.ok_or(Refusal::NotRegistered)?;
    registry.unregister(member).await.map_err(|error| house.not_done(error, (&name).into()))?;
    house.enrol(peer, None).await;
    house.record("unregister", by, name.as_str(), None, None);
    Ok(Notice::Unregistered(name))
}
