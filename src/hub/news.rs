//! Tells whoever listens what happens: connections that begin and end, and messages.

use std::sync::Arc;

use tokio::sync::broadcast;

use santral_core::limits::NEWS_MAX;
use santral_core::names::{ChannelName, ConnectionId, EventName};

use super::ConnectionNews;

/// What has happened.
#[derive(Debug, Clone)]
pub enum News {
    /// A connection began or ended.
    Connection(ConnectionNews),
    /// A message was published.
    Message(Arc<MessageNews>),
}

/// A message to channels, as it was published.
#[derive(Debug, Clone)]
pub struct MessageNews {
    /// The connection that said it, where one did.
    pub from: Option<ConnectionId>,
    /// Where it went; never empty.
    pub channels: Vec<ChannelName>,
    /// Connections that were left out.
    pub except_connections: Vec<ConnectionId>,
    /// Channels whose followers were left out.
    pub except_channels: Vec<ChannelName>,
    /// The name of its event.
    pub event: Option<EventName>,
    /// Its data as JSON text.
    pub data: Arc<str>,
    /// Whether the data is the array of several arguments.
    pub spread: bool,
}

/// While nobody listens, news costs a look at a number.
#[derive(Debug, Clone)]
pub struct NewsFeed(broadcast::Sender<News>);

impl Default for NewsFeed {
    fn default() -> Self {
        Self(broadcast::channel(NEWS_MAX).0)
    }
}

impl NewsFeed {
    /// Tells everybody who listens. Never blocks: who is too slow learns that something was missed.
    pub fn tell(&self, news: impl FnOnce() -> News) {
        if self.0.receiver_count() > 0 {
            // The last listener may just have gone.
            let _ = self.0.send(news());
        }
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<News> {
        self.0.subscribe()
    }
}
