//! Whom an entry leaves out, and how many sessions it reaches.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Shard;
use crate::entry::Entry;
use crate::feeds::{Feed, FeedKey, Topic};
use crate::names::ChannelName;
use crate::ring::Seq;
use crate::session::{Session, SessionKey};
use crate::unless::{Copies, Copy, Unless};

/// The sessions that the copies of one message have reached so far, so that each is counted once
/// without looking at all earlier channels again for each copy.
#[derive(Debug, Default)]
pub(super) struct Reached {
    copies: Option<Arc<Copies>>,
    /// How many of its channels are in `sessions`.
    channels: usize,
    sessions: BTreeSet<SessionKey>,
}

impl Shard {
    /// How many sessions follow one of the feeds and are not left out, each counted once.
    pub(super) fn count_receivers(&mut self, feeds: &[FeedKey], unless: Option<&Unless>) -> u32 {
        let count = match unless {
            None => self.count_followers(feeds, &[]),
            Some(unless) => {
                let connected = |connection| self.by_connection.get(connection).copied();
                let excepted: Vec<SessionKey> = unless.connections.iter().filter_map(connected).collect();
                match unless.names_channels() {
                    false => self.count_followers(feeds, &excepted),
                    true => self.count_unless(feeds, unless, excepted),
                }
            }
        };
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn count_followers(&self, feeds: &[FeedKey], excepted: &[SessionKey]) -> usize {
        let followed = feeds.iter().filter_map(|&key| self.feeds.get(key)).filter(|feed| !feed.followers.is_empty());
        let followed: Vec<_> = followed.collect();
        let mut count = 0;
        for (index, feed) in followed.iter().enumerate() {
            if index == 0 && excepted.is_empty() {
                count += feed.followers.len();
                continue;
            }
            let counted =
                |key: &SessionKey| followed[..index].iter().any(|earlier| earlier.followers.contains_key(key));
            count += feed.followers.keys().filter(|key| !excepted.contains(key) && !counted(key)).count();
        }
        count
    }

    fn count_unless(&mut self, feeds: &[FeedKey], unless: &Unless, excepted: Vec<SessionKey>) -> usize {
        let mut left_out: BTreeSet<SessionKey> = excepted.into_iter().collect();
        unless.channels.iter().for_each(|channel| self.add_followers(channel, &mut left_out));
        let mut reached = std::mem::take(&mut self.reached);
        if let Some(copy) = &unless.copy {
            self.add_reached(copy, &mut reached);
        }
        let is_reached = |key: &SessionKey| unless.copy.is_some() && reached.sessions.contains(key);
        let followers = feeds.iter().filter_map(|&key| self.feeds.get(key)).flat_map(|feed| feed.followers.keys());
        // What is counted is left out from then on: a session may follow several of the feeds.
        let count = followers.filter(|key| !is_reached(key) && left_out.insert(**key)).count();
        let is_last = |copy: &Copy| copy.index + 1 >= copy.copies.count();
        self.reached = if unless.copy.as_ref().is_some_and(is_last) { Reached::default() } else { reached };
        count
    }

    fn add_reached(&self, copy: &Copy, reached: &mut Reached) {
        if reached.copies.as_ref().is_none_or(|copies| !Arc::ptr_eq(copies, &copy.copies)) {
            *reached = Reached { copies: Some(Arc::clone(&copy.copies)), ..Reached::default() };
        }
        let before = copy.copies.names(reached.channels..copy.index);
        before.iter().for_each(|channel| self.add_followers(channel, &mut reached.sessions));
        reached.channels = copy.index;
    }

    fn add_followers(&self, channel: &ChannelName, sessions: &mut BTreeSet<SessionKey>) {
        let followers = |feed: &Feed| feed.followers.keys().copied().collect::<Vec<_>>();
        sessions.extend(self.feeds.existing(channel).flat_map(followers));
    }

    /// Whether an entry is not for this session although it follows the channel. Decided by what the
    /// session follows when it is served, and only as far as that reaches back: whoever began to follow
    /// behind an earlier copy did not get that one.
    pub(super) fn leaves_out(&self, session: &Session, unless: &Unless, entry: &Entry, seq: Option<Seq>) -> bool {
        if session.is_any_of(&unless.connections) {
            return true;
        }
        if !unless.names_channels() {
            return false;
        }
        session.subscriptions.iter().any(|subscription| {
            let Some(Topic::Messages(selector)) = self.feeds.get(subscription.feed).map(|feed| &feed.topic) else {
                return false;
            };
            let follows = |back| subscription.reaches(entry, seq, back);
            unless.channels.iter().any(|channel| selector.matches(channel) && follows(0))
                || unless.copy.as_ref().and_then(|copy| copy.back_to(selector)).is_some_and(follows)
        })
    }
}
