//! A limit of bytes that several holders share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A limit of bytes, for all holders together. One alone may use all of it. If they need more, each may use an equal
/// share. A holder that is over its limit gives bytes back when it uses more, and all must do so when the limit is
/// [exceeded twice](Self::is_far_exceeded). Clones are the same limit.
#[derive(Debug, Clone)]
pub struct Budget(Arc<State>);

#[derive(Debug)]
struct State {
    limit: usize,
    bytes: AtomicUsize,
    /// How many of them use any bytes.
    holders: AtomicUsize,
}

/// What one holder uses. It is given back on drop.
#[derive(Debug)]
pub struct Used {
    budget: Budget,
    bytes: usize,
}

impl Budget {
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(State { limit, bytes: AtomicUsize::new(0), holders: AtomicUsize::new(0) }))
    }

    /// Whether all together use more than the limit.
    pub fn is_exceeded(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > self.0.limit
    }

    /// Whether all together use more than twice the limit.
    pub fn is_far_exceeded(&self) -> bool {
        self.0.bytes.load(Ordering::Relaxed) > 2 * self.0.limit
    }

    /// A new holder, which uses nothing yet.
    pub fn holder(&self) -> Used {
        Used { budget: self.clone(), bytes: 0 }
    }
}

impl Used {
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Uses another budget instead.
    pub fn move_to(&mut self, budget: &Budget) {
        let bytes = self.bytes;
        *self = budget.holder();
        self.add(bytes);
    }

    pub fn add(&mut self, bytes: usize) {
        if self.bytes == 0 && bytes > 0 {
            self.budget.0.holders.fetch_add(1, Ordering::Relaxed);
        }
        self.bytes += bytes;
        self.budget.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn remove(&mut self, bytes: usize) {
        self.bytes -= bytes;
        self.budget.0.bytes.fetch_sub(bytes, Ordering::Relaxed);
        if self.bytes == 0 && bytes > 0 {
            self.budget.0.holders.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// How many bytes it may use now.
    pub fn limit(&self) -> usize {
        let State { limit, bytes, holders } = &*self.budget.0;
        let others = bytes.load(Ordering::Relaxed).saturating_sub(self.bytes);
        limit.saturating_sub(others).max(limit / holders.load(Ordering::Relaxed).max(1))
    }

    pub fn is_over(&self) -> bool {
        self.bytes > self.limit()
    }
}

impl Drop for Used {
    fn drop(&mut self) {
        self.remove(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_may_use_everything_and_several_get_equal_shares() {
        let budget = Budget::new(100);
        let (mut one, mut other) = (budget.holder(), budget.holder());
        one.add(100);
        assert_eq!((one.limit(), one.is_over()), (100, false));
        other.add(30);
        assert_eq!((one.limit(), one.is_over()), (70, true));
        assert_eq!((other.limit(), other.is_over()), (50, false));
        assert!(!budget.is_far_exceeded());
        one.add(71);
        assert!(budget.is_far_exceeded() && one.is_over());
        one.remove(71);
        assert!(budget.is_exceeded());
        let elsewhere = Budget::new(100);
        one.move_to(&elsewhere);
        assert_eq!((budget.is_exceeded(), other.limit(), one.limit(), one.bytes()), (false, 100, 100, 100));
        one.move_to(&budget);
        other.add(30);
        assert!(other.is_over());
        drop(one);
        assert_eq!((other.limit(), other.is_over()), (100, false));
        other.remove(60);
        assert_eq!(budget.0.holders.load(Ordering::Relaxed), 0);
    }
}
