// Wire types of Santral, see docs/protocol.md.
// Generated from shared-schema/src. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema

/**
 * One item of `POST /api/publish`. Exactly one of `channel`, `channels`, `user`, `connection`.
 */
export type PublishItem = {
    /**
     * To everyone who follows this channel.
     */
    channel?: string,
    /**
     * To everyone who follows any of these; one entry each.
     */
    channels?: Array<string>,
    /**
     * To every session of this user.
     */
    user?: string,
    /**
     * To the session of this connection only; such a message is never stored.
     */
    connection?: string,
    /**
     * The event name.
     */
    event?: string,
    /**
     * The message: any JSON text, passed on as it was written.
     */
    data: unknown,
    /**
     * Whether the message may be dropped for whoever cannot take it now; it is not stored.
     */
    volatile?: boolean,
    /**
     * A connection that must not receive it.
     */
    except?: string,
    /**
     * Idempotency key of this item.
     */
    key?: string,
};

/**
 * What was done with a message.
 */
export type Receipt = {
    /**
     * Its position, the last one of several channels; `null` for a volatile message.
     */
    id: string | null,
    /**
     * The log's incarnation.
     */
    epoch: string,
    /**
     * What the acknowledgement promises.
     */
    durability: ReceiptDurability,
    /**
     * Sessions on this node that follow where it went; `null` when the receipt repeats an earlier
     * one, which remembers positions only.
     */
    receivers: number | null,
};

/**
 * What an acknowledgement promises.
 */
export type ReceiptDurability = "disk" | "os" | "memory";

/**
 * Body of `POST /api/events`; the same words as the query of `GET /api/events`.
 */
export type StreamRequest = {
    /**
     * Channels, and prefixes that end in `*`.
     */
    channels?: Array<string>,
    /**
     * How messages come.
     */
    format?: StreamFormat,
    /**
     * Behind which position to go on; `earliest` for all that is retained.
     */
    lastEventId?: string,
    /**
     * A token of 22 to 64 characters that the client chose: makes the session resumable.
     */
    session?: string,
    /**
     * Whether presence changes of the named channels are wanted.
     */
    presence?: boolean,
    /**
     * `false` opts out of the channel `broadcast`.
     */
    broadcast?: boolean,
    /**
     * Whether to send a padding comment behind `hello`.
     */
    pad?: boolean,
    /**
     * Name of an SDK: it understands error statuses, which a browser's EventSource does not.
     */
    client?: string,
};

/**
 * How messages come on a stream.
 */
export type StreamFormat = "raw" | "envelope";

/**
 * `event: hello`, the first frame of every stream.
 */
export type Hello = {
    /**
     * The session's token: secret, and the address of its commands.
     */
    session: string,
    /**
     * The connection's id: what others may name in `connection` and `except`.
     */
    connection: string,
    /**
     * Whether the stream goes on behind the position that the client asked for, without a gap.
     */
    recovered: boolean,
    /**
     * Silence after which a `ping` comes, in milliseconds.
     */
    heartbeatMs: number,
    /**
     * The server's clock, RFC 3339 in UTC.
     */
    serverTime: string,
    /**
     * The node that serves the stream.
     */
    node: string,
    /**
     * The user, where there are users.
     */
    user: string | null,
    /**
     * What the session follows; a prefix ends in `*`.
     */
    channels: Array<string>,
    /**
     * How long stored messages are retained, in seconds.
     */
    retentionSeconds: number,
    /**
     * The transports that this server speaks.
     */
    transports: Array<string>,
};

/**
 * A message in the envelope format.
 */
export type Envelope = {
    /**
     * The channel that it was published to.
     */
    channel: string,
    /**
     * The event name, if it has one.
     */
    event?: string,
    /**
     * Its position; absent for a volatile message.
     */
    id?: string,
    /**
     * What the server knows of the sender; absent when that is nothing.
     */
    from?: From,
    /**
     * When the server accepted it, RFC 3339 in UTC.
     */
    at: string,
    /**
     * The message as the publisher wrote it.
     */
    data: unknown,
};

/**
 * What the server knows of a sender.
 */
export type From = {
    /**
     * The user.
     */
    user?: string,
    /**
     * The connection.
     */
    connection?: string,
};

/**
 * `event: gap`: what a client missed and will not get.
 */
export type Gap = {
    /**
     * The channels and prefixes that may have had messages in the gap.
     */
    channels: Array<string>,
    /**
     * The position that the client had, as it sent it; `null` when it was at the very start.
     */
    requested: string | null,
    /**
     * The position behind which the stream goes on.
     */
    resumedFrom: string,
    /**
     * Why there is a gap.
     */
    reason: GapReason,
};

/**
 * Why there is a gap.
 */
export type GapReason = "retention" | "epoch" | "unknown" | "inbox" | "presence";

/**
 * `event: presence`: somebody joined or left a channel.
 */
export type PresenceChange = {
    /**
     * The channel.
     */
    channel: string,
    /**
     * What happened.
     */
    change: PresenceKind,
    /**
     * The user, where there are users.
     */
    user: string | null,
    /**
     * The connection.
     */
    connection: string,
};

/**
 * What happened in a presence change.
 */
export type PresenceKind = "joined" | "left";

/**
 * `event: bye`: the server is about to close the stream.
 */
export type Bye = {
    /**
     * The code of the reason, see docs/codes.md.
     */
    code: number,
    /**
     * The stable name of the reason.
     */
    name: string,
    /**
     * What happened, for people.
     */
    reason: string,
    /**
     * Whether the client should come back.
     */
    reconnect: boolean,
    /**
     * After how many milliseconds it should; absent when it should not.
     */
    retryAfterMs?: number,
};

/**
 * Why a connection ended. The code is what `bye` and every transport show.
 */
export type DisconnectReason = "client_left" | "unreachable" | "draining" | "replaced" | "limit_reached" | "unexpected_input" | "never_opened";

/**
 * One command of `POST /api/sessions/{session}/commands`: an object with exactly one field.
 */
export type Command = { "subscribe": Array<string> } | { "unsubscribe": Array<string> } | { "publish": PublishItem } | { "history": HistoryCommand } | { "presence": PresenceCommand } | { "ping": PingCommand };

/**
 * Reads a channel's history, newest first.
 */
export type HistoryCommand = {
    /**
     * The channel.
     */
    channel: string,
    /**
     * Only entries before this position.
     */
    before?: string,
    /**
     * Only entries behind this position.
     */
    since?: string,
    /**
     * Most entries to return.
     */
    limit?: number,
};

/**
 * Reads who follows a channel.
 */
export type PresenceCommand = {
    /**
     * The channel.
     */
    channel: string,
};

/**
 * Has no fields.
 */
export type PingCommand = Record<symbol, never>;

/**
 * Answer to `subscribe` and `unsubscribe`.
 */
export type Subscriptions = {
    /**
     * What the session follows now.
     */
    channels: Array<string>,
    /**
     * The head of the log at that moment: later entries of these channels arrive.
     */
    position: string,
};

/**
 * Answer to `ping`.
 */
export type Pong = {
    /**
     * The head of the log.
     */
    position: string,
    /**
     * The server's clock, RFC 3339 in UTC.
     */
    serverTime: string,
};

/**
 * Answer of `GET /api/channels`.
 */
export type ChannelList = {
    /**
     * Channels with retained entries, in name order.
     */
    channels: Array<ChannelItem>,
    /**
     * Pass it as `cursor` for the next page; absent on the last.
     */
    cursor?: string,
    /**
     * The head of the log at that moment.
     */
    position: string,
};

/**
 * One channel of the list.
 */
export type ChannelItem = {
    /**
     * Its name.
     */
    channel: string,
    /**
     * Position of its newest retained entry.
     */
    last: string,
    /**
     * Sessions on this node that follow it by name.
     */
    sessions: number,
};

/**
 * Answer of `GET /api/channels/{channel}/history`.
 */
export type History = {
    /**
     * The channel.
     */
    channel: string,
    /**
     * Entries, newest first.
     */
    entries: Array<Envelope>,
    /**
     * The head of the log at that moment: follow from here and nothing is missing or doubled.
     */
    position: string,
    /**
     * Whether older entries of the asked range remain.
     */
    more: boolean,
    /**
     * Whether retention has removed entries since the asked position.
     */
    truncated: boolean,
};

/**
 * Answer of `GET /api/channels/{channel}/presence`.
 */
export type Presence = {
    /**
     * The channel.
     */
    channel: string,
    /**
     * Sessions that follow it by name, at most a page.
     */
    present: Array<PresentSession>,
    /**
     * How many there are in all.
     */
    total: number,
    /**
     * The head of the log at that moment.
     */
    position: string,
};

/**
 * One session that follows a channel.
 */
export type PresentSession = {
    /**
     * The user, where there are users.
     */
    user: string | null,
    /**
     * Its connection.
     */
    connection: string,
};

/**
 * What somebody may do in general.
 */
export type Role = "anonymous" | "user" | "publisher" | "viewer" | "admin";

/**
 * How much an event matters, in this order.
 */
export type EventLevel = "info" | "warn" | "error";

/**
 * What kind of thing happened. Types are added, never renamed.
 */
export type EventType = "connection.opened" | "connection.closed" | "connection.refused" | "connection.kicked" | "block.created" | "block.removed" | "account.created" | "account.login" | "account.login_refused" | "account.logout" | "account.refresh_reused" | "account.password_changed" | "account.changed" | "api_key.created" | "api_key.revoked" | "access.refused" | "publish.refused" | "setting.changed" | "event_log.cleared" | "event_log.lost" | "server.started" | "server.stopping";

/**
 * One event of the event log.
 */
export type LoggedEvent = {
    /**
     * Grows from event to event.
     */
    id: number,
    /**
     * When it happened, RFC 3339 in UTC.
     */
    at: string,
    /**
     * How much it matters.
     */
    level: EventLevel,
    /**
     * What kind of thing happened.
     */
    type: EventType,
    /**
     * Who did it, or whom it happened to.
     */
    actor?: string,
    /**
     * What happened, in a sentence.
     */
    message: string,
    /**
     * More, as a JSON object.
     */
    details?: Record<string, unknown>,
    /**
     * The request in which it happened: the `X-Request-Id` of its answer.
     */
    requestId?: string,
};

/**
 * Answer of `GET /api/logs`.
 */
export type EventList = {
    /**
     * Events, newest first.
     */
    events: Array<LoggedEvent>,
    /**
     * Pass it as `cursor` for the next page; absent on the last.
     */
    cursor?: string,
};

/**
 * Answer of `DELETE /api/logs`.
 */
export type EventsCleared = {
    /**
     * How many events are gone.
     */
    cleared: number,
    /**
     * The event that says so.
     */
    trace: LoggedEvent,
};

/**
 * Answer of `GET /health`.
 */
export type Health = {
    /**
     * In one word.
     */
    status: HealthStatus,
    /**
     * The version of the server.
     */
    version: string,
    /**
     * The node.
     */
    node: string,
    /**
     * Whether everybody may do everything because no accounts are configured.
     */
    open: boolean,
    /**
     * How storage does.
     */
    storage: StorageHealth,
    /**
     * Open streams on this node.
     */
    streams: number,
    /**
     * Since the start, in seconds.
     */
    uptimeSeconds: number,
};

/**
 * How the server does, in one word.
 */
export type HealthStatus = "ok" | "degraded" | "draining";

/**
 * How storage does.
 */
export type StorageHealth = "ok" | "busy" | "full" | "failed";

/**
 * Body of every error answer, `application/problem+json` (RFC 9457, section 3).
 */
export type Problem = {
    /**
     * Where the code is explained, relative to the documentation.
     */
    type: string,
    /**
     * The code in words.
     */
    title: string,
    /**
     * The HTTP status.
     */
    status: number,
    /**
     * The stable code.
     */
    code: ProblemCode,
    /**
     * What happened.
     */
    detail: string,
    /**
     * What to do first.
     */
    remediation: string,
};

/**
 * The stable codes of all problems. Codes are added, never renamed.
 */
export type ProblemCode = "invalid_json" | "invalid_field" | "invalid_query" | "invalid_channel" | "invalid_event" | "invalid_position" | "invalid_session" | "too_deep" | "invalid_batch" | "invalid_target" | "invalid_idempotency_key" | "not_found" | "method_not_allowed" | "body_timeout" | "too_large" | "unsupported_media_type" | "idempotency_key_reused" | "too_many_subscriptions" | "internal" | "storage_busy" | "storage_full" | "storage_failed" | "draining" | "too_many_connections";
