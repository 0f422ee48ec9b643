//! Who follows what in one shard, and which recent items concern them.
//!
//! A feed is one followed thing: a channel, a prefix, or the presence of a channel. It lists the
//! `seq` of its recent items and the sessions behind it, so the cost of a message depends on its
//! own followers only, however many other channels there are (100,000 or one).

use std::collections::{BTreeMap, VecDeque};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::ops::Bound;
use std::sync::Arc;

use indexmap::IndexMap;
use slotmap::{SlotMap, new_key_type};

use crate::names::{ChannelName, Selector};
use crate::ring::Seq;
use crate::session::SessionKey;

new_key_type! {
    /// Names one feed of a shard; stale keys are recognised.
    pub(crate) struct FeedKey;
}

/// Sessions in a stable order, each with the first `seq` that it follows; the keys are our own, so a
/// fixed hasher is safe and keeps runs equal.
type Followers = IndexMap<SessionKey, Seq, BuildHasherDefault<DefaultHasher>>;

/// What a feed carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Topic {
    /// The messages that match a selector.
    Messages(Selector),
    /// Who joins and leaves a channel.
    Presence(ChannelName),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) topic: Topic,
    /// Items of this feed that are still in the ring, oldest first; older ones may linger in front.
    pub(crate) recent: VecDeque<Seq>,
    pub(crate) followers: Followers,
    /// Whether the feed waits for the next pass.
    pub(crate) dirty: bool,
}

impl Feed {
    /// The recent items from `seq` on.
    pub(crate) fn since(&self, seq: Seq) -> impl Iterator<Item = Seq> + '_ {
        let start = self.recent.partition_point(|&recent| recent < seq);
        self.recent.range(start..).copied()
    }
}

/// All feeds of one shard.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    feeds: SlotMap<FeedKey, Feed>,
    channels: BTreeMap<ChannelName, FeedKey>,
    prefixes: BTreeMap<Arc<str>, FeedKey>,
    /// How many prefixes there are of each length: a lookup tries only lengths that exist.
    prefix_lengths: BTreeMap<usize, usize>,
    presence: BTreeMap<ChannelName, FeedKey>,
}

impl Feeds {
    /// The feed, if it still exists.
    pub(crate) fn get(&self, key: FeedKey) -> Option<&Feed> {
        self.feeds.get(key)
    }

    /// The feed, if it still exists.
    pub(crate) fn get_mut(&mut self, key: FeedKey) -> Option<&mut Feed> {
        self.feeds.get_mut(key)
    }

    /// The feed of exactly this channel's messages.
    pub(crate) fn of_channel(&self, channel: &ChannelName) -> Option<&Feed> {
        self.channels.get(channel).and_then(|&key| self.feeds.get(key))
    }

    /// Channels that somebody follows by name.
    pub(crate) fn followed_channels(&self) -> impl Iterator<Item = &ChannelName> {
        let is_followed = |key: &FeedKey| self.feeds.get(*key).is_some_and(|feed| !feed.followers.is_empty());
        self.channels.iter().filter(move |(_, key)| is_followed(key)).map(|(channel, _)| channel)
    }

    /// Makes `session` follow `topic` and returns the feed; following twice changes nothing.
    pub(crate) fn follow(&mut self, topic: &Topic, session: SessionKey, since: Seq) -> FeedKey {
        let key = self.find(topic).unwrap_or_else(|| self.create(topic.clone()));
        self.feeds[key].followers.entry(session).or_insert(since);
        key
    }

    /// Ends what [`Feeds::follow`] began; a feed that nobody needs goes away.
    pub(crate) fn unfollow(&mut self, key: FeedKey, session: SessionKey) {
        if let Some(feed) = self.feeds.get_mut(key) {
            feed.followers.swap_remove(&session);
            self.drop_if_idle(key);
        }
    }

    /// The feed of a topic, if somebody follows it or its channel has recent items.
    pub(crate) fn find(&self, topic: &Topic) -> Option<FeedKey> {
        match topic {
            Topic::Messages(Selector::Channel(channel)) => self.channels.get(channel),
            Topic::Messages(Selector::Prefix(prefix)) => self.prefixes.get(prefix),
            Topic::Presence(channel) => self.presence.get(channel),
        }
        .copied()
    }

    /// Every feed that a message of `channel` belongs to. The channel's own feed is made if need
    /// be, so that whoever resumes on it later finds the recent items.
    pub(crate) fn matching(&mut self, channel: &ChannelName, found: &mut Vec<FeedKey>) {
        found.clear();
        let topic = Topic::Messages(Selector::Channel(channel.clone()));
        found.push(self.find(&topic).unwrap_or_else(|| self.create(topic)));
        found.extend(self.prefixes_of(channel));
    }

    /// Every feed that is there already and that a message of `channel` would belong to.
    pub(crate) fn existing(&self, channel: &ChannelName) -> impl Iterator<Item = &Feed> {
        let own = self.channels.get(channel).copied();
        own.into_iter().chain(self.prefixes_of(channel)).filter_map(|key| self.feeds.get(key))
    }

    fn prefixes_of(&self, channel: &ChannelName) -> impl Iterator<Item = FeedKey> {
        let name = channel.as_str();
        let longest = if channel.is_reserved() { None } else { Some(name.len()) };
        let lengths = self.prefix_lengths.keys().take_while(move |&&length| longest.is_some_and(|max| length <= max));
        lengths.filter_map(move |&length| self.prefixes.get(&name[..length]).copied())
    }

    /// Forgets that `channel` had an item at `seq`, which has left the ring.
    pub(crate) fn forget(&mut self, channel: &ChannelName, seq: Seq) {
        let Some(&key) = self.channels.get(channel) else {
            return;
        };
        let recent = &mut self.feeds[key].recent;
        while recent.front().is_some_and(|&front| front <= seq) {
            recent.pop_front();
        }
        self.drop_if_idle(key);
    }

    /// How many feeds there are.
    pub(crate) fn len(&self) -> usize {
        self.feeds.len()
    }

    fn create(&mut self, topic: Topic) -> FeedKey {
        let recent = match &topic {
            Topic::Messages(Selector::Prefix(prefix)) => self.recent_of_prefix(prefix),
            Topic::Messages(Selector::Channel(_)) | Topic::Presence(_) => VecDeque::new(),
        };
        let feed = Feed { topic: topic.clone(), recent, followers: Followers::default(), dirty: false };
        let key = self.feeds.insert(feed);
        match topic {
            Topic::Messages(Selector::Channel(channel)) => {
                self.channels.insert(channel, key);
            }
            Topic::Messages(Selector::Prefix(prefix)) => {
                *self.prefix_lengths.entry(prefix.len()).or_default() += 1;
                self.prefixes.insert(prefix, key);
            }
            Topic::Presence(channel) => {
                self.presence.insert(channel, key);
            }
        }
        key
    }

    /// What the ring holds of a prefix that nobody followed until now: whoever resumes on it may
    /// stand before these items. Every channel with recent items has a feed, so they tell.
    fn recent_of_prefix(&self, prefix: &str) -> VecDeque<Seq> {
        let from = (Bound::Included(prefix), Bound::Unbounded);
        let channels = self.channels.range::<str, _>(from).take_while(|(name, _)| name.as_str().starts_with(prefix));
        let feeds = channels.filter(|(name, _)| !name.is_reserved()).filter_map(|(_, &key)| self.feeds.get(key));
        let mut recent: Vec<Seq> = feeds.flat_map(|feed| feed.recent.iter().copied()).collect();
        recent.sort_unstable();
        recent.into()
    }

    /// A channel's feed stays while it has followers or recent items; the others while followed.
    fn drop_if_idle(&mut self, key: FeedKey) {
        let feed = &self.feeds[key];
        if !feed.followers.is_empty() {
            return;
        }
        match feed.topic.clone() {
            Topic::Messages(Selector::Channel(channel)) => {
                if !feed.recent.is_empty() {
                    return;
                }
                self.channels.remove(&channel);
            }
            Topic::Messages(Selector::Prefix(prefix)) => {
                self.prefixes.remove(&prefix);
                let count = self.prefix_lengths.get_mut(&prefix.len()).expect("counted at creation");
                *count -= 1;
                if *count == 0 {
                    self.prefix_lengths.remove(&prefix.len());
                }
            }
            Topic::Presence(channel) => {
                self.presence.remove(&channel);
            }
        }
        self.feeds.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CHANNELS: [&str; 5] = ["a", "b", "b.x", "b.y", "user:ada"];

    fn selector(index: usize) -> Selector {
        let own = || Selector::Channel(ChannelName::of_user("ada").expect("a valid user"));
        ["a", "b", "b.x", "b*", "b.*", "*"]
            .get(index)
            .map_or_else(own, |text| Selector::parse(text).expect("a valid selector"))
    }

    proptest! {
        #[test]
        fn feeds_agree_with_a_list_of_who_follows_what(
            steps in proptest::collection::vec((0_u8..4, 0_usize..7, 0_usize..3), 1..80),
        ) {
            let mut keys: SlotMap<SessionKey, ()> = SlotMap::with_key();
            let sessions: Vec<SessionKey> = (0..3).map(|_| keys.insert(())).collect();
            let mut feeds = Feeds::default();
            let mut follows: Vec<(Selector, SessionKey)> = Vec::new();
            let mut items: Vec<(Seq, ChannelName)> = Vec::new();
            let mut next = 0;
            for (action, what, who) in steps {
                let (topic, session) = (Topic::Messages(selector(what)), sessions[who]);
                match action {
                    0 => {
                        feeds.follow(&topic, session, 0);
                        follows.retain(|known| *known != (selector(what), session));
                        follows.push((selector(what), session));
                    }
                    1 => {
                        feeds.find(&topic).into_iter().for_each(|key| feeds.unfollow(key, session));
                        follows.retain(|known| *known != (selector(what), session));
                    }
                    2 => {
                        let channel = ChannelName::parse(CHANNELS[what % 5]).expect("a valid name");
                        let mut found = Vec::new();
                        feeds.matching(&channel, &mut found);
                        for &key in &found {
                            feeds.get_mut(key).expect("just found").recent.push_back(next);
                        }
                        items.push((next, channel));
                        next += 1;
                    }
                    _ if items.is_empty() => (),
                    _ => {
                        let (seq, channel) = items.remove(0);
                        feeds.forget(&channel, seq);
                    }
                }
                let oldest = items.first().map_or(next, |&(seq, _)| seq);
                for (wanted, session) in &follows {
                    let key = feeds.find(&Topic::Messages(wanted.clone())).expect("it has a follower");
                    let feed = feeds.get(key).expect("just found");
                    prop_assert!(feed.followers.contains_key(session));
                    let found: Vec<Seq> = feed.recent.iter().copied().filter(|&seq| seq >= oldest).collect();
                    let expected = items.iter().filter(|(_, channel)| wanted.matches(channel)).map(|&(seq, _)| seq);
                    prop_assert_eq!(found, expected.collect::<Vec<_>>());
                }
            }
            for (wanted, session) in follows {
                let key = feeds.find(&Topic::Messages(wanted)).expect("it has a follower");
                feeds.unfollow(key, session);
            }
            for (seq, channel) in items {
                feeds.forget(&channel, seq);
            }
            prop_assert_eq!(feeds.len(), 0);
        }
    }
}
