//! Tells one Admin UI what there is and what changes.
//!
//! News of connections only say that something has changed: then all connections are looked at once more, and
//! what differs from what the page was told is told. So a page that was too slow for some news, or for some
//! looks, still ends up with what is true; nothing waits for it anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use santral_core::grants::Grants;
use santral_core::limits::{ADMIN_LOOK_INTERVAL, ADMIN_SOCKETS_MAX, ADMIN_STATS_INTERVAL, STATS_INTERVAL};
use santral_core::session::SessionKey;
use santral_schema::reason::DisconnectReason;

use super::figures::{Events, ServerStats};
use super::shown::ShownSocket;
use super::{Feature, changes, messages};
use crate::config::Secret;
use crate::hub::news::News;
use crate::hub::shard_thread::{LocalShard, Sightings};
use crate::hub::{ConnectionNews, Hub};

/// A watch under way; it ends when this is dropped.
pub(super) struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// See the module.
pub(super) struct Watch {
    local: LocalShard,
    session: SessionKey,
    /// What its operator has a right to.
    grants: Arc<Grants>,
    is_welcome: Box<dyn Fn() -> bool>,
    /// Listened to only where connections are shown one by one.
    news: Option<Receiver<News>>,
    /// What the page was told of each connection; `None` where it is shown figures only.
    told: Option<BTreeMap<String, ShownSocket>>,
    /// Why connections ended of which the page was not told yet that they did.
    ended: BTreeMap<String, DisconnectReason>,
    events: Events,
}

/// What the page learns first.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PageConfig<'a> {
    supported_features: &'a [Feature],
}

impl Watch {
    pub(super) fn new(
        local: LocalShard,
        session: SessionKey,
        grants: Arc<Grants>,
        is_welcome: impl Fn() -> bool + 'static,
    ) -> Self {
        let (told, ended, events) = (None, BTreeMap::new(), Events::default());
        Self { local, session, grants, is_welcome: Box::new(is_welcome), news: None, told, ended, events }
    }

    /// Watches until the page is gone, on a task of its own that takes up work once the page has its answer.
    pub(super) fn begin(self, login: Option<Secret>, features: Vec<Feature>, place: OwnedSemaphorePermit) -> Task {
        let watching = async move {
            let _place = place;
            self.run(login, features).await;
        };
        Task(actix_rt::spawn(watching))
    }

    async fn run(mut self, login: Option<Secret>, mut features: Vec<Feature>) {
        if let Some(login) = login {
            self.say("session", &[login.reveal()]);
        }
        // What happens while it is looked is not missed.
        self.news = features.contains(&Feature::AllEvents).then(|| self.local.hub().news.listen());
        let seen = self.look().await;
        let sockets = sockets_of(&seen).filter(|_| self.news.is_some());
        features.retain(|feature| *feature != Feature::AllEvents || sockets.is_some());
        self.say("config", &[PageConfig { supported_features: &features }]);
        match sockets {
            Some(sockets) => {
                self.say("all_sockets", &[sockets.values().collect::<Vec<_>>()]);
                self.told = Some(sockets);
            }
            None => self.news = None,
        }
        self.watch(features).await;
    }

    async fn watch(&mut self, mut features: Vec<Feature>) {
        let mut board = self.local.hub().board.look();
        let mut stats_due = Instant::now();
        let mut look_due = None;
        while self.local.is_served(self.session) {
            tokio::select! {
                changed = board.changed() => {
                    if changed.is_err() || !self.is_still_welcome() {
                        return;
                    }
                    let latest = board.borrow_and_update().clone();
                    if let Some(posted) = latest {
                        self.events.note(self.local.hub(), &posted.stats);
                    }
                    if stats_due <= Instant::now() {
                        // Figures come once a second, and sometimes a moment sooner than that.
                        stats_due = Instant::now() + ADMIN_STATS_INTERVAL - STATS_INTERVAL / 2;
                        self.tell(&mut features).await;
                    }
                }
                news = next(&mut self.news) => {
                    if self.hear(news) {
                        look_due = look_due.or(Some(Instant::now() + ADMIN_LOOK_INTERVAL));
                    }
                }
                () = due(look_due) => {
                    look_due = None;
                    let seen = self.look().await;
                    self.tell_changes(&seen, &mut features);
                }
            }
        }
    }

    /// Takes up news. True where connections must be looked at: who is new is found so, and what was missed.
    fn hear(&mut self, news: Result<News, RecvError>) -> bool {
        let Some(told) = &self.told else { return false };
        match news {
            Ok(News::Connection(ConnectionNews::Ended(connection, _, reason))) => {
                if told.contains_key(connection.as_str()) {
                    self.ended.insert(connection.as_str().to_owned(), reason);
                }
                true
            }
            Ok(News::Connection(ConnectionNews::Started(..))) | Err(RecvError::Lagged(_)) => true,
            Ok(News::Message(message)) => {
                let told = messages::told(&message, told, &self.grants, &Hub::wall_clock().to_rfc3339());
                // A page that is behind misses some of the messages.
                let _ = told.iter().all(|(name, args)| self.local.say(self.session, name, args));
                false
            }
            Err(RecvError::Closed) => {
                self.news = None;
                false
            }
        }
    }

    /// Whether the right of the page's operator still stands; if not, its session ends.
    fn is_still_welcome(&self) -> bool {
        let is_welcome = (self.is_welcome)();
        if !is_welcome {
            let reason = DisconnectReason::RightsChanged;
            self.local.with(|shard, now| shard.disconnect(now, self.session, reason));
        }
        is_welcome
    }

    async fn tell(&mut self, features: &mut Vec<Feature>) {
        let seen = self.look().await;
        let stats = ServerStats::new(self.local.hub(), &seen, &mut self.events);
        // Whoever does not take what came before has no use for these figures later.
        self.say("server_stats", &[stats]);
        // Rooms and upgrades are no news of connections; they are found by looking.
        self.tell_changes(&seen, features);
    }

    fn tell_changes(&mut self, seen: &[Sightings], features: &mut Vec<Feature>) {
        let Some(told) = self.told.take() else { return };
        let Some(sockets) = sockets_of(seen) else {
            // More than a page can show: from now on it shows figures, until it is loaded anew.
            (self.news, self.ended) = (None, BTreeMap::new());
            features.retain(|feature| *feature != Feature::AllEvents);
            self.say("config", &[PageConfig { supported_features: features }]);
            return;
        };
        self.told = Some(told);
        let at = Hub::wall_clock().to_rfc3339();
        let known = self.told.iter().flat_map(BTreeMap::keys);
        let ids: BTreeSet<String> = known.chain(sockets.keys()).cloned().collect();
        for id in ids {
            let is_taken = self.tell_change(&id, sockets.get(&id), &at);
            if !is_taken {
                // The page is behind; the next look tells what is new by then.
                return;
            }
        }
    }

    /// Tells what has changed in one connection. False where the page takes no more for now.
    fn tell_change(&mut self, id: &str, now: Option<&ShownSocket>, at: &str) -> bool {
        let Some(told) = &mut self.told else { return false };
        let why = self.ended.get(id).copied().unwrap_or(DisconnectReason::ClientLeft);
        let changes = changes::between(told.get(id), now, why.name(), at);
        let Some(((name, args), others)) = changes.split_first() else { return true };
        if !self.local.say(self.session, name, args) {
            return false;
        }
        // What belongs together is told together: few, and bounded by the rooms that are shown.
        for (name, args) in others {
            self.local.say(self.session, name, args);
        }
        match now {
            Some(now) => drop(told.insert(id.to_owned(), now.clone())),
            None => drop((told.remove(id), self.ended.remove(id))),
        }
        true
    }

    async fn look(&self) -> Vec<Sightings> {
        self.local.hub().call_local_all(|local| local.look_around(ADMIN_SOCKETS_MAX)).await
    }

    fn say(&self, name: &str, args: &impl Serialize) -> bool {
        let args = serde_json::to_string(args).expect("what pages are told has string keys and no failing serializer");
        self.local.say(self.session, name, &args)
    }
}

/// What happens next; nothing ever, where nobody listens.
async fn next(news: &mut Option<Receiver<News>>) -> Result<News, RecvError> {
    match news {
        Some(news) => news.recv().await,
        None => std::future::pending().await,
    }
}

/// Waits for a moment; for ever where there is none.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Every connection by its id; `None` where there are more than a page can show.
fn sockets_of(seen: &[Sightings]) -> Option<BTreeMap<String, ShownSocket>> {
    let count: usize = seen.iter().map(|part| part.connections).sum();
    if count > ADMIN_SOCKETS_MAX {
        return None;
    }
    let each = seen.iter().map(|part| part.each.as_deref()).collect::<Option<Vec<_>>>()?;
    let shown = each.into_iter().flatten().map(ShownSocket::of);
    Some(shown.map(|socket| (socket.id.clone(), socket)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::engineio::EngineTally;

    /// Two threads with so many connections each, of which a thread tells only while it has few enough.
    fn seen(counts: [usize; 2]) -> [Sightings; 2] {
        counts.map(|connections| Sightings {
            connections,
            polled: 0,
            engines: EngineTally::default(),
            each: (connections <= ADMIN_SOCKETS_MAX).then(Vec::new),
        })
    }

    #[test]
    fn more_connections_than_a_page_can_hold_are_not_shown_one_by_one() {
        assert!(sockets_of(&seen([ADMIN_SOCKETS_MAX - 1, 1])).is_some());
        assert!(sockets_of(&seen([ADMIN_SOCKETS_MAX, 1])).is_none(), "all threads together");
        assert!(sockets_of(&seen([ADMIN_SOCKETS_MAX + 1, 0])).is_none());
    }
}
