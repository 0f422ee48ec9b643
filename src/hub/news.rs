//! Tells whoever listens of connections that begin and end.

use tokio::sync::broadcast;

use santral_core::limits::CONNECTION_NEWS_MAX;

use super::ConnectionNews;

/// While nobody listens, news costs a look at a number.
#[derive(Debug, Clone)]
pub struct NewsFeed(broadcast::Sender<ConnectionNews>);

impl Default for NewsFeed {
    fn default() -> Self {
        Self(broadcast::channel(CONNECTION_NEWS_MAX).0)
    }
}

impl NewsFeed {
    /// Tells everybody who listens. Never blocks: who is too slow learns that something was missed.
    pub fn tell(&self, news: &ConnectionNews) {
        if self.0.receiver_count() > 0 {
            // The last listener may just have gone.
            let _ = self.0.send(news.clone());
        }
    }

    /// Listens from now on.
    #[must_use]
    pub fn listen(&self) -> broadcast::Receiver<ConnectionNews> {
        self.0.subscribe()
    }
}
