//! Who is left out of a message although they follow its channel.
//!
//! A message to several channels is one entry in each, a *copy*. Whoever follows two of them is sent
//! the first copy only, so each copy but the first leaves out the followers of the channels before
//! its own. Besides, a publisher may leave out connections, and the followers of channels.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::Arc;

use crate::names::{ChannelName, ConnectionId, Selector};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Unless {
    /// Which copy of a message to several channels it is; `None` for the first and for the only one.
    pub copy: Option<Copy>,
    /// Whoever is one of these, or was one in the same session.
    pub connections: Arc<[ConnectionId]>,
    /// Whoever follows one of these.
    pub channels: Arc<[ChannelName]>,
}

impl Unless {
    /// What each copy of a message to `channels` says, in their order: `None` where nobody is left out.
    /// The channels must differ.
    pub fn of_copies(
        channels: &[ChannelName],
        connections: Vec<ConnectionId>,
        except: Vec<ChannelName>,
    ) -> impl Iterator<Item = Option<Arc<Self>>> + use<> {
        let copies = (channels.len() > 1).then(|| Arc::new(Copies::known_from(0, channels.to_vec())));
        let all = Self { copy: None, connections: connections.into(), channels: except.into() };
        let nobody = all.connections.is_empty() && all.channels.is_empty();
        (0..channels.len()).map(move |index| {
            let copies = copies.as_ref().filter(|_| index > 0);
            let copy = copies.map(|copies| Copy { copies: Arc::clone(copies), index });
            (copy.is_some() || !nobody).then(|| Arc::new(Self { copy, ..all.clone() }))
        })
    }

    /// The same for a message to one channel that leaves out one connection.
    #[must_use]
    pub fn connection(connection: ConnectionId) -> Arc<Self> {
        Arc::new(Self { connections: Arc::new([connection]), ..Self::default() })
    }

    /// Whether it depends on what somebody follows.
    #[must_use]
    pub fn names_channels(&self) -> bool {
        self.copy.is_some() || !self.channels.is_empty()
    }
}

/// One copy of a message to several channels, not the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copy {
    /// All channels that the message went to.
    pub copies: Arc<Copies>,
    /// How many copies precede this one, right before it in the log.
    pub index: usize,
}

impl Copy {
    /// How many places before this copy the nearest one stands that a follower of `selector` has.
    #[must_use]
    pub fn back_to(&self, selector: &Selector) -> Option<usize> {
        let earlier = |index: &usize| *index < self.index;
        let names = &self.copies.places;
        let nearest = match selector {
            Selector::Channel(channel) => names.get(channel).copied().filter(earlier),
            Selector::Prefix(prefix) => {
                let from = (Bound::Included(&**prefix), Bound::Unbounded);
                let below = names.range::<str, _>(from).take_while(|(name, _)| name.as_str().starts_with(&**prefix));
                below.filter(|(name, _)| selector.matches(name)).map(|(_, index)| *index).filter(earlier).max()
            }
        };
        nearest.map(|index| self.index - index)
    }
}

/// The channels of a message that goes to several of them, as far as they are known.
#[derive(Debug, PartialEq, Eq)]
pub struct Copies {
    /// How many copies precede the first one that is known: retention has removed them.
    first: usize,
    names: Vec<ChannelName>,
    places: BTreeMap<ChannelName, usize>,
}

impl Copies {
    /// The channels in the order of the copies, behind `first` others that nobody knows any more.
    #[must_use]
    pub fn known_from(first: usize, names: Vec<ChannelName>) -> Self {
        let places = names.iter().enumerate().map(|(index, name)| (name.clone(), first + index)).collect();
        Self { first, names, places }
    }

    /// How many copies there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.first + self.names.len()
    }

    /// The channels of these copies, as far as they are known.
    #[must_use]
    pub fn names(&self, range: Range<usize>) -> &[ChannelName] {
        let (from, to) = (range.start.saturating_sub(self.first), range.end.saturating_sub(self.first));
        self.names.get(from..to).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(name: &str) -> ChannelName {
        ChannelName::parse(name).expect("a valid name")
    }

    fn selector(text: &str) -> Selector {
        Selector::parse(text).expect("a valid selector")
    }

    #[test]
    fn each_copy_leaves_out_who_follows_a_channel_before_its_own() {
        let channels = ["b.1", "a", "b.2", "c"].map(channel);
        let copies: Vec<_> = Unless::of_copies(&channels, Vec::new(), Vec::new()).collect();
        assert_eq!(copies[0], None);
        for (index, text, back) in [
            (1, "b.1", Some(1)),
            (1, "a", None),
            (1, "b.2", None),
            (2, "b.*", Some(2)),
            (2, "*", Some(1)),
            (3, "b.*", Some(1)),
            (3, "b*", Some(1)),
            (3, "c", None),
            (3, "x", None),
        ] {
            let copy = copies[index].as_ref().and_then(|unless| unless.copy.as_ref()).expect("not the first");
            assert_eq!(copy.back_to(&selector(text)), back, "{index} {text}");
        }
    }

    #[test]
    fn copies_that_retention_removed_leave_nobody_out() {
        let copies = Arc::new(Copies::known_from(2, vec![channel("c"), channel("d")]));
        assert_eq!((copies.count(), copies.names(0..3), copies.names(0..2)), (4, &[channel("c")][..], &[][..]));
        let copy = Copy { copies, index: 3 };
        assert_eq!((copy.back_to(&selector("c")), copy.back_to(&selector("a"))), (Some(1), None));
    }

    #[test]
    fn a_message_to_one_channel_carries_nothing() {
        assert_eq!(Unless::of_copies(&[channel("a")], Vec::new(), Vec::new()).collect::<Vec<_>>(), [None]);
        let except = Unless::of_copies(&[channel("a")], Vec::new(), vec![channel("b")]).next().flatten();
        assert!(except.is_some_and(|unless| unless.names_channels() && unless.copy.is_none()));
    }
}
