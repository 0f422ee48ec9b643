// Wire types of Santral, see docs/protocol.md.
// Generated from shared-schema/src. Do not edit; run: SANTRAL_UPDATE_DOCS=1 cargo test -p santral-schema

/**
 * One item of `POST /api/publish`. Exactly one of `channel`, `channels`, `user`, `connection`, and of
 * `data`, `args`.
 */
export type PublishItem = {
    /**
     * To everyone who follows this channel.
     */
    channel?: string,
    /**
     * To everyone who follows any of these, once; one entry each.
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
    data?: unknown,
    /**
     * Several arguments of one event, for Socket.IO clients; everybody else gets them as an array. One
     * alone is the message itself.
     */
    args?: Array<unknown>,
    /**
     * Whether the message may be dropped for whoever cannot take it now; it is not stored.
     */
    volatile?: boolean,
    /**
     * Connections that must not receive it, and channels whose followers must not.
     */
    except?: Except,
    /**
     * The namespace of the channels; `/` unless it is named.
     */
    namespace?: string,
    /**
     * Asks the Socket.IO clients that it is for to acknowledge it, and waits so long for them, in milliseconds.
     * Such a message is not stored, and stands in no batch.
     */
    ackTimeoutMs?: number,
    /**
     * Idempotency key of this item.
     */
    key?: string,
};

/**
 * Who is left out of a message: connections, and whoever follows channels.
 */
export type Except = string | Array<string>;

/**
 * What clients answered that were asked to acknowledge a message.
 */
export type Answers = {
    /**
     * Clients that were asked.
     */
    receivers: number,
    /**
     * What they answered, as it came: one argument is the answer itself, several are an array.
     */
    responses: Array<unknown>,
    /**
     * How many of them have not answered in time.
     */
    missing: number,
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
 * What came of what a Socket.IO emitter wanted.
 */
export type Emitted = {
    /**
     * The position of the event, if it was one and is stored.
     */
    id: string | null,
    /**
     * Sessions on this node that the event went to, if it was one.
     */
    receivers: number | null,
    /**
     * Sessions that were moved or ended, if that was wanted.
     */
    matched: number | null,
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
export type DisconnectReason = "client_left" | "unreachable" | "draining" | "replaced" | "limit_reached" | "unexpected_input" | "never_opened" | "token_expired" | "signed_out" | "rights_changed" | "kicked" | "blocked" | "bad_input";

/**
 * One command of `POST /api/sessions/{session}/commands`: an object with exactly one field.
 */
export type Command = { "subscribe": Array<string> } | { "unsubscribe": Array<string> } | { "publish": PublishItem } | { "history": HistoryCommand } | { "presence": PresenceCommand } | { "ping": PingCommand } | { "auth": AuthCommand } | { "video": VideoCommand } | { "signal": SignalRequest };

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
 * Brings a fresh token.
 */
export type AuthCommand = {
    /**
     * The token.
     */
    token: string,
};

/**
 * Joins or leaves a video room: an object with exactly one field. The session is the proof, so the request
 * names none.
 */
export type VideoCommand = { "join": JoinRequest } | { "leave": LeaveRequest };

/**
 * Answer to `video` with `leave`. Has no fields.
 */
export type LeftVideoRoom = Record<symbol, never>;

/**
 * Answer to `auth`.
 */
export type Authorized = {
    /**
     * What the session follows now.
     */
    channels: Array<string>,
    /**
     * What it followed and the fresh token gives no right to.
     */
    lost: Array<string>,
    /**
     * When the fresh token ends, RFC 3339 in UTC; `null` for never.
     */
    expiresAt: string | null,
    /**
     * The head of the log at that moment.
     */
    position: string,
};

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
 * Body of `POST /auth/register` and `POST /auth/login`.
 */
export type Credentials = {
    /**
     * The name of the account; capitals and white space around it make no difference.
     */
    name: string,
    /**
     * The password.
     */
    password: string,
};

/**
 * What somebody gets who has signed in.
 */
export type SignedIn = {
    /**
     * For the header `Authorization: Bearer`.
     */
    accessToken: string,
    /**
     * How the access token is used.
     */
    tokenType: TokenType,
    /**
     * Seconds for which the access token is good.
     */
    expiresIn: number,
    /**
     * Good once: for the next access token and the next refresh token.
     */
    refreshToken: string,
    /**
     * Who has signed in.
     */
    user: Account,
};

/**
 * How an access token is used.
 */
export type TokenType = "Bearer";

/**
 * Body of `POST /auth/refresh`.
 */
export type RefreshRequest = {
    /**
     * The refresh token that came last.
     */
    refreshToken: string,
};

/**
 * Body of `POST /auth/logout`.
 */
export type LogoutRequest = {
    /**
     * A refresh token of the login that ends; without one it is that of the bearer token.
     */
    refreshToken?: string,
};

/**
 * Body of `POST /auth/password`.
 */
export type PasswordChange = {
    /**
     * The present password.
     */
    current: string,
    /**
     * The next one.
     */
    new: string,
};

/**
 * Body of `POST /api/setup`.
 */
export type SetupRequest = {
    /**
     * The token that the server printed when it started.
     */
    token: string,
    /**
     * The name of the first admin.
     */
    name: string,
    /**
     * Their password.
     */
    password: string,
};

/**
 * An account.
 */
export type Account = {
    /**
     * Names the user for ever.
     */
    id: string,
    /**
     * What the user signs in with, in lower case.
     */
    name: string,
    /**
     * What the user may do in general.
     */
    role: Role,
    /**
     * Whether the account may not sign in.
     */
    disabled: boolean,
    /**
     * When it was created, RFC 3339.
     */
    createdAt: string,
};

/**
 * Answer of `GET /auth/me`.
 */
export type Me = {
    /**
     * The principal: `user:<id>`, `key:<id>`, `jwt:<sub>`, or empty for nobody in particular.
     */
    principal: string,
    /**
     * The user, where there is one.
     */
    user?: string,
    /**
     * The name of the account, where there is one.
     */
    name?: string,
    /**
     * What the principal may do in general.
     */
    role: Role,
    /**
     * Which channels the principal has a right to.
     */
    grants: GrantPatterns,
    /**
     * The address that the request came from, as far as the server can tell.
     */
    address: string,
    /**
     * When the right ends, RFC 3339.
     */
    expiresAt?: string,
};

/**
 * Channels that somebody has a right to: names, or prefixes with a star behind them.
 */
export type GrantPatterns = {
    /**
     * To follow, and to read the history of.
     */
    subscribe?: Array<string>,
    /**
     * To publish to.
     */
    publish?: Array<string>,
    /**
     * To see who follows them.
     */
    presence?: Array<string>,
    /**
     * Video rooms to enter.
     */
    rooms?: Array<string>,
};

/**
 * Answer of `GET /api/users`.
 */
export type AccountList = {
    /**
     * In the order of their names.
     */
    users: Array<Account>,
    /**
     * Where the next page starts; absent at the end.
     */
    cursor?: string,
};

/**
 * Body of `POST /api/users`.
 */
export type NewAccount = {
    /**
     * What the user will sign in with.
     */
    name: string,
    /**
     * The first password.
     */
    password: string,
    /**
     * What the user may do in general; `user` if it is left out.
     */
    role?: Role,
};

/**
 * Body of `PATCH /api/users/{id}`: what is left out stays as it is. Ends all logins of the account.
 */
export type AccountChange = {
    /**
     * Another role.
     */
    role?: Role,
    /**
     * Whether the account may not sign in.
     */
    disabled?: boolean,
    /**
     * Another password.
     */
    password?: string,
};

/**
 * An API key, without its secret.
 */
export type ApiKeyItem = {
    /**
     * Names the key; no secret.
     */
    id: string,
    /**
     * What it is for.
     */
    name: string,
    /**
     * What its holder may do in general.
     */
    role: Role,
    /**
     * Which channels its holder has a right to.
     */
    grants: GrantPatterns,
    /**
     * The principal who made it.
     */
    createdBy?: string,
    /**
     * When it was made, RFC 3339.
     */
    createdAt: string,
    /**
     * When it ends, RFC 3339.
     */
    expiresAt?: string,
};

/**
 * Answer of `GET /api/keys`.
 */
export type ApiKeyList = {
    /**
     * The oldest first.
     */
    keys: Array<ApiKeyItem>,
};

/**
 * Body of `POST /api/keys`.
 */
export type NewApiKey = {
    /**
     * What it is for.
     */
    name: string,
    /**
     * What its holder may do in general; `publisher` if it is left out.
     */
    role?: Role,
    /**
     * Which channels its holder has a right to; all that the role gives if it is left out.
     */
    grants?: GrantPatterns,
    /**
     * Seconds until it ends; for ever if it is left out.
     */
    expiresIn?: number,
};

/**
 * Answer of `POST /api/keys`: the only time that the key is shown.
 */
export type CreatedApiKey = {
    /**
     * The whole key.
     */
    key: string,
    /**
     * The key as the list shows it.
     */
    item: ApiKeyItem,
};

/**
 * Body of `POST /api/tickets`.
 */
export type TicketRequest = {
    /**
     * The only channels and prefixes that a stream with this ticket may follow.
     */
    channels?: Array<string>,
};

/**
 * Answer of `POST /api/tickets`.
 */
export type Ticket = {
    /**
     * Good once, as the query parameter `ticket`.
     */
    ticket: string,
    /**
     * Seconds for which it is good.
     */
    expiresIn: number,
};

/**
 * Answer to `GET /api/connections`.
 */
export type ConnectionList = {
    /**
     * In the order of their ids.
     */
    connections: Array<Connection>,
    /**
     * Where the next page starts; absent at the end.
     */
    cursor?: string,
    /**
     * All connections of this node, whatever the filter.
     */
    total: number,
};

/**
 * One open connection.
 */
export type Connection = {
    /**
     * Its id.
     */
    connection: string,
    /**
     * The user, if there is one.
     */
    user: string | null,
    /**
     * Whose rights it has: `user:<id>`, `key:<id>`, `jwt:<sub>`, or empty for a guest.
     */
    principal: string,
    /**
     * What the principal may do in general.
     */
    role: Role,
    /**
     * How it is connected.
     */
    transport: string,
    /**
     * From where.
     */
    address: string,
    /**
     * With what program, as it says.
     */
    userAgent: string | null,
    /**
     * Since when, RFC 3339 in UTC.
     */
    connectedAt: string,
    /**
     * When its right ends, if it does.
     */
    expiresAt: string | null,
    /**
     * Whether it takes no more bytes for now.
     */
    isBlocked: boolean,
    /**
     * How much it follows.
     */
    subscriptions: number,
    /**
     * Everything that concerns it was sent up to here.
     */
    position: string,
    /**
     * Messages in the log between its position and the head, whether they concern it or not.
     */
    backlog: number,
    /**
     * Bytes that it has taken.
     */
    bytesOut: number,
    /**
     * Round trip in milliseconds, where the transport knows it.
     */
    roundTripMs: number | null,
};

/**
 * Answer to `GET /api/connections/{id}`.
 */
export type ConnectionDetail = {
    /**
     * What it follows.
     */
    channels: Array<string>,
    /**
     * Its id.
     */
    connection: string,
    /**
     * The user, if there is one.
     */
    user: string | null,
    /**
     * Whose rights it has: `user:<id>`, `key:<id>`, `jwt:<sub>`, or empty for a guest.
     */
    principal: string,
    /**
     * What the principal may do in general.
     */
    role: Role,
    /**
     * How it is connected.
     */
    transport: string,
    /**
     * From where.
     */
    address: string,
    /**
     * With what program, as it says.
     */
    userAgent: string | null,
    /**
     * Since when, RFC 3339 in UTC.
     */
    connectedAt: string,
    /**
     * When its right ends, if it does.
     */
    expiresAt: string | null,
    /**
     * Whether it takes no more bytes for now.
     */
    isBlocked: boolean,
    /**
     * How much it follows.
     */
    subscriptions: number,
    /**
     * Everything that concerns it was sent up to here.
     */
    position: string,
    /**
     * Messages in the log between its position and the head, whether they concern it or not.
     */
    backlog: number,
    /**
     * Bytes that it has taken.
     */
    bytesOut: number,
    /**
     * Round trip in milliseconds, where the transport knows it.
     */
    roundTripMs: number | null,
};

/**
 * Answer to `DELETE /api/connections/{id}`.
 */
export type Kicked = {
    /**
     * Connections that were ended: the one that was named, and all others of a client that was blocked.
     */
    ended: number,
    /**
     * Who is blocked, if anybody is: `user:<id>` or `address:<network>`.
     */
    blocked: string | null,
    /**
     * Until when, RFC 3339 in UTC.
     */
    blockedUntil: string | null,
};

/**
 * Body of `POST /api/connections/actions`.
 */
export type ConnectionActions = {
    /**
     * Which connections.
     */
    match: ConnectionMatch,
    /**
     * Channels and prefixes that they shall follow from now on.
     */
    join?: Array<string>,
    /**
     * Channels and prefixes that they shall follow no longer.
     */
    leave?: Array<string>,
    /**
     * End the connections.
     */
    disconnect?: boolean,
};

/**
 * Which connections are meant: exactly one of the fields.
 */
export type ConnectionMatch = {
    /**
     * All that follow this channel, by name or by prefix.
     */
    channel?: string,
    /**
     * All of this user.
     */
    user?: string,
    /**
     * This one.
     */
    connection?: string,
};

/**
 * Answer to `POST /api/connections/actions`.
 */
export type ActionsDone = {
    /**
     * Connections that were meant.
     */
    matched: number,
    /**
     * Connections that could not follow more, since they follow as much as they may.
     */
    refused: number,
};

/**
 * Somebody who may not connect for a while.
 */
export type BlockItem = {
    /**
     * `user:<id>` or `address:<network>`.
     */
    subject: string,
    /**
     * Who said so.
     */
    createdBy: string | null,
    /**
     * When it was said, RFC 3339 in UTC.
     */
    createdAt: string,
    /**
     * When it ends, RFC 3339 in UTC.
     */
    expiresAt: string,
};

/**
 * Answer to `GET /api/blocks`.
 */
export type BlockList = {
    /**
     * In the order of their subjects.
     */
    blocks: Array<BlockItem>,
};

/**
 * How much an event matters, in this order.
 */
export type EventLevel = "info" | "warn" | "error";

/**
 * What kind of thing happened. Types are added, never renamed.
 */
export type EventType = "connection.opened" | "connection.closed" | "connection.refused" | "connection.kicked" | "connection.moved" | "admin.emitted" | "block.created" | "block.removed" | "account.created" | "account.login" | "account.login_refused" | "account.logout" | "account.refresh_reused" | "account.password_changed" | "account.changed" | "api_key.created" | "api_key.revoked" | "access.refused" | "publish.refused" | "setting.changed" | "event_log.cleared" | "event_log.lost" | "webhook.given_up" | "server.started" | "server.stopping" | "room.created" | "room.changed" | "room.closed" | "room.joined" | "room.left" | "room.host_changed";

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
 * What the values of a setting are.
 */
export type SettingKind = "integer" | "duration" | "boolean" | "choice" | "string" | "list" | "secret";

/**
 * The value of a setting.
 */
export type SettingValue = boolean | number | string | Array<string>;

/**
 * Where the value in force came from; the first of these that says something holds.
 */
export type SettingSource = "database" | "flag" | "environment" | "file" | "default";

/**
 * One setting: what holds, and what else could.
 */
export type SettingItem = {
    /**
     * Its name.
     */
    key: string,
    /**
     * What holds; absent where nothing is set and for secrets.
     */
    value?: SettingValue,
    /**
     * What holds without a change: what `DELETE` goes back to. Absent like `value`.
     */
    default?: SettingValue,
    /**
     * Whether there is a value: all that is said of a secret.
     */
    isSet: boolean,
    /**
     * What the machine allows of the value, where that is less.
     */
    inForce?: SettingValue,
    /**
     * Where the value came from.
     */
    source: SettingSource,
    /**
     * What its values are.
     */
    kind: SettingKind,
    /**
     * Of what a number counts, in the plural.
     */
    unit?: string,
    /**
     * The least value.
     */
    min?: SettingValue,
    /**
     * The greatest value.
     */
    max?: SettingValue,
    /**
     * The words of a choice, or of a list of choices.
     */
    choices?: Array<string>,
    /**
     * What its values look like, in words, with range and unit.
     */
    expected: string,
    /**
     * What it means.
     */
    description: string,
    /**
     * Whether it can be set at a start only, by flag, environment or file.
     */
    restartNeeded: boolean,
    /**
     * Who changed it last, where the value is from the database and somebody said who they are.
     */
    changedBy?: string,
    /**
     * When, where the value is from the database.
     */
    changedAt?: string,
    /**
     * Why, in the words of whoever changed it.
     */
    changeDescription?: string,
};

/**
 * Answer of `GET /api/settings`.
 */
export type SettingList = {
    /**
     * Every setting.
     */
    settings: Array<SettingItem>,
    /**
     * The fixed bounds that clients meet.
     */
    limits: Array<FixedLimit>,
};

/**
 * A bound that no setting changes.
 */
export type FixedLimit = {
    /**
     * Its name.
     */
    name: string,
    /**
     * Its value.
     */
    value: number,
    /**
     * Of what.
     */
    unit: string,
    /**
     * What it bounds, and why there.
     */
    reason: string,
};

/**
 * Body of `POST /api/settings`.
 */
export type SettingChange = {
    /**
     * The setting's name.
     */
    key: string,
    /**
     * Its new value. The text that a flag would take is understood too: `"1000"` for `1000`.
     */
    value: SettingValue,
    /**
     * Why, for the history.
     */
    description?: string,
};

/**
 * Answer of `GET /api/settings/history`.
 */
export type SettingHistory = {
    /**
     * Changes, newest first.
     */
    changes: Array<SettingHistoryItem>,
    /**
     * Pass it as `cursor` for the next page; absent on the last.
     */
    cursor?: string,
};

/**
 * One change of a setting.
 */
export type SettingHistoryItem = {
    /**
     * Grows with each change.
     */
    id: number,
    /**
     * The setting.
     */
    key: string,
    /**
     * The value before; absent where it was not changed.
     */
    old?: SettingValue,
    /**
     * The value after; absent where it went back to its default.
     */
    new?: SettingValue,
    /**
     * Why.
     */
    description?: string,
    /**
     * Who, where somebody said who they are.
     */
    changedBy?: string,
    /**
     * When.
     */
    changedAt: string,
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
 * Answer of `GET /health/live`.
 */
export type Liveness = {
    /**
     * Always `ok`: a process that does badly still lives.
     */
    status: HealthStatus,
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
 * Answer of `GET /api/stats`, and content of each `event: stats` of `GET /api/stats/stream`.
 */
export type Stats = {
    /**
     * When this was measured, RFC 3339 in UTC.
     */
    at: string,
    /**
     * The node.
     */
    node: string,
    /**
     * The version of the server.
     */
    version: string,
    /**
     * When the server started, RFC 3339 in UTC.
     */
    startedAt: string,
    /**
     * Since the start, in seconds.
     */
    uptimeSeconds: number,
    /**
     * Whether everybody may do everything because no accounts are configured.
     */
    open: boolean,
    /**
     * Whether the server is about to stop.
     */
    draining: boolean,
    /**
     * How storage does.
     */
    storage: StorageHealth,
    /**
     * Whether a part of the server did not answer in time: its numbers are those of before.
     */
    partial: boolean,
    /**
     * Connections.
     */
    connections: ConnectionStats,
    /**
     * Sessions, with and without a connection.
     */
    sessions: number,
    /**
     * Channels and prefixes that are followed or have recent messages, on the thread that has most.
     */
    channels: number,
    /**
     * What came in.
     */
    messages: MessageStats,
    /**
     * What went out.
     */
    deliveries: DeliveryStats,
    /**
     * What waits.
     */
    backlog: BacklogStats,
    /**
     * What clients were told that they missed.
     */
    gaps: GapStats,
    /**
     * Clients whose connection takes no more for now.
     */
    slowConsumers: SlowConsumerStats,
    /**
     * How long things took over the last minutes.
     */
    latency: LatencyStats,
    /**
     * Video rooms.
     */
    video: VideoStats,
    /**
     * How calls go, as their participants report.
     */
    calls: CallStats,
    /**
     * Where the log stands.
     */
    log: LogStats,
    /**
     * What the operating system says of the process.
     */
    process: ProcessStats,
    /**
     * The last minutes, one sample a second, oldest first; absent where it was not asked for.
     */
    samples?: Array<StatsSample>,
};

/**
 * Connections.
 */
export type ConnectionStats = {
    /**
     * Open now.
     */
    total: number,
    /**
     * Open now, by transport.
     */
    byTransport: TransportStats,
    /**
     * Admitted since the start.
     */
    startedTotal: number,
    /**
     * Ended since the start.
     */
    endedTotal: number,
    /**
     * Turned away since the start.
     */
    refusedTotal: number,
};

/**
 * A number for each transport.
 */
export type TransportStats = {
    /**
     * Server-Sent Events.
     */
    sse: number,
    /**
     * WebSockets.
     */
    websocket: number,
    /**
     * Sessions that are polled.
     */
    poll: number,
    /**
     * Socket.IO.
     */
    socketio: number,
};

/**
 * What came in. A message counts once, to however many channels it goes.
 */
export type MessageStats = {
    /**
     * Messages that were accepted.
     */
    inTotal: number,
    /**
     * Messages a second.
     */
    inPerSecond: number,
    /**
     * Bytes of their data.
     */
    bytesInTotal: number,
    /**
     * Bytes a second.
     */
    bytesInPerSecond: number,
    /**
     * Of these, messages that were stored.
     */
    storedTotal: number,
    /**
     * Of these, messages that were not to be stored.
     */
    volatileTotal: number,
    /**
     * Messages that were here before, with the same idempotency key; not accepted again.
     */
    repeatedTotal: number,
    /**
     * Requests to publish that were refused.
     */
    refusedTotal: number,
};

/**
 * What went out. A message to ten clients counts ten times.
 */
export type DeliveryStats = {
    /**
     * Messages and presence changes that were handed to connections.
     */
    total: number,
    /**
     * Deliveries a second.
     */
    perSecond: number,
    /**
     * Bytes that connections took, neither response heads nor `hello`.
     */
    bytesTotal: number,
    /**
     * Bytes a second.
     */
    bytesPerSecond: number,
};

/**
 * What waits.
 */
export type BacklogStats = {
    /**
     * Sessions that wait for a page of the log.
     */
    pagesAwaited: number,
    /**
     * Pages of the log that were read for sessions which fell behind.
     */
    pagesTotal: number,
    /**
     * Publishes that wait for the database.
     */
    writerQueue: number,
};

/**
 * What clients were told that they missed.
 */
export type GapStats = {
    /**
     * `gap` events.
     */
    total: number,
    /**
     * `gap` events, by reason.
     */
    byReason: Array<GapCount>,
};

/**
 * The `gap` events of one reason.
 */
export type GapCount = {
    /**
     * Why.
     */
    reason: GapReason,
    /**
     * How many.
     */
    total: number,
};

/**
 * Clients whose connection takes no more for now.
 */
export type SlowConsumerStats = {
    /**
     * How many there are.
     */
    now: number,
    /**
     * How often that happened.
     */
    blockedTotal: number,
};

/**
 * How long things took over the last minutes.
 */
export type LatencyStats = {
    /**
     * From the acceptance of a publish to the end of the pass that wrote it to its followers; of
     * each pass the message that waited longest.
     */
    publishToWrite: Latency,
    /**
     * Commits of the log.
     */
    commit: Latency,
};

/**
 * How calls go, as their participants report. Each link is reported by both of its ends.
 */
export type CallStats = {
    /**
     * Reports, by the score that came of them.
     */
    byScore: Array<ScoreCount>,
    /**
     * Links that came up or moved to another way.
     */
    linksTotal: number,
    /**
     * The same, by way.
     */
    byRoute: Array<RouteCount>,
    /**
     * Links that failed.
     */
    failedTotal: number,
    /**
     * From the first offer or answer to the link being connected, over the last minutes.
     */
    setup: Latency,
    /**
     * Round trips over the last minutes.
     */
    rtt: Latency,
};

/**
 * The reports of one score.
 */
export type ScoreCount = {
    /**
     * How the call went.
     */
    score: CallScore,
    /**
     * How many.
     */
    total: number,
};

/**
 * The links that went one way.
 */
export type RouteCount = {
    /**
     * The longer way of the two ends: `host`, `prflx`, `srflx`, `relay_udp`, `relay_tcp`, `relay_tls` or
     * `unknown`.
     */
    route: string,
    /**
     * How many.
     */
    total: number,
};

/**
 * How long something took. Quantiles are estimated between the bounds of the buckets.
 */
export type Latency = {
    /**
     * How often it was measured.
     */
    count: number,
    /**
     * Half were faster, in milliseconds; `null` when it was not measured.
     */
    p50Ms: number | null,
    /**
     * 95 of 100 were faster.
     */
    p95Ms: number | null,
    /**
     * 99 of 100 were faster.
     */
    p99Ms: number | null,
    /**
     * The slowest.
     */
    maxMs: number | null,
    /**
     * The buckets that are not empty, fastest first.
     */
    buckets: Array<LatencyBucket>,
};

/**
 * How often something took so long.
 */
export type LatencyBucket = {
    /**
     * At most this, in milliseconds, and more than the bucket before; `null` = longer than any bound.
     */
    uptoMs: number | null,
    /**
     * How often.
     */
    count: number,
};

/**
 * Where the log stands.
 */
export type LogStats = {
    /**
     * Its incarnation.
     */
    epoch: string,
    /**
     * Its last offset; 0 when it never had an entry.
     */
    head: number,
    /**
     * The offset of its oldest retained entry; `null` when there is none.
     */
    oldest: number | null,
    /**
     * Offsets that retention has left.
     */
    entries: number,
};

/**
 * What the operating system says of the process; `null` where it does not.
 */
export type ProcessStats = {
    /**
     * Memory that is resident, in bytes.
     */
    rssBytes: number | null,
    /**
     * Open file descriptors.
     */
    openFds: number | null,
    /**
     * Most file descriptors that may be open; `null` also where there is no limit.
     */
    maxFds: number | null,
    /**
     * Processor time that was used since the start, in seconds.
     */
    cpuSeconds: number | null,
    /**
     * Threads.
     */
    threads: number | null,
};

/**
 * One second. Rates are those since the sample before.
 */
export type StatsSample = {
    /**
     * When it ended, RFC 3339 in UTC.
     */
    at: string,
    /**
     * Whether a part of the server did not answer in time: its numbers are those of before.
     */
    partial: boolean,
    /**
     * Open connections.
     */
    connections: number,
    /**
     * Sessions, with and without a connection.
     */
    sessions: number,
    /**
     * Messages that were accepted since the start.
     */
    messagesTotal: number,
    /**
     * Messages a second.
     */
    messagesPerSecond: number,
    /**
     * Bytes of message data a second.
     */
    bytesInPerSecond: number,
    /**
     * Deliveries since the start.
     */
    deliveriesTotal: number,
    /**
     * Deliveries a second.
     */
    deliveriesPerSecond: number,
    /**
     * Bytes that connections took a second.
     */
    bytesOutPerSecond: number,
    /**
     * `gap` events since the start.
     */
    gapsTotal: number,
    /**
     * Clients whose connection took no more.
     */
    slowConsumers: number,
    /**
     * Publishes that waited for the database.
     */
    writerQueue: number,
    /**
     * See [`LatencyStats::publish_to_write`], in milliseconds; `null` when nothing was measured.
     */
    publishToWriteP99Ms: number | null,
    /**
     * See [`LatencyStats::commit`], in milliseconds; `null` when nothing was measured.
     */
    commitP99Ms: number | null,
    /**
     * Memory that was resident, in bytes.
     */
    rssBytes: number | null,
    /**
     * Processor time used a second, in seconds: 1 is one busy core.
     */
    cpu: number | null,
};

/**
 * Content of `event: ring`, the first of a stats stream that was asked for with `ring=1`.
 */
export type StatsRing = {
    /**
     * The last minutes, one sample a second, oldest first.
     */
    samples: Array<StatsSample>,
};

/**
 * Video rooms.
 */
export type VideoStats = {
    /**
     * Rooms that are not closed.
     */
    rooms: number,
    /**
     * Seats that are taken.
     */
    participants: number,
    /**
     * People who wait to be let in.
     */
    waiting: number,
    /**
     * Signals that were passed on since the start.
     */
    signalsTotal: number,
};

/**
 * Who finds a room.
 */
export type Visibility = "unlisted" | "public" | "private";

/**
 * Who has to wait before they are in.
 */
export type LobbyMode = "off" | "on" | "until-host";

/**
 * How media travels.
 */
export type Topology = "mesh" | "sfu" | "auto";

/**
 * What becomes of a room whose host leaves.
 */
export type HostPolicy = "transfer" | "close" | "keep";

/**
 * Where a room stands.
 */
export type RoomStatus = "waiting" | "active" | "closed";

/**
 * Where a participant stands.
 */
export type ParticipantState = "lobby" | "joined" | "reconnecting" | "left";

/**
 * What a participant is there for.
 */
export type ParticipantRole = "participant" | "moderator" | "viewer" | "recorder";

/**
 * Why a participant is gone.
 */
export type LeaveReason = "client_leave" | "page_closed" | "timeout" | "kicked" | "banned" | "denied" | "lobby_timeout" | "replaced" | "signed_out" | "room_closed" | "room_expired";

/**
 * Why a room is over.
 */
export type CloseReason = "closed" | "host_left" | "empty" | "expired";

/**
 * Which media somebody sends, or shall not.
 */
export type Media = {
    /**
     * A microphone.
     */
    audio?: boolean,
    /**
     * A camera.
     */
    video?: boolean,
    /**
     * A screen.
     */
    screen?: boolean,
};

/**
 * A change of [`Media`]: what is left out stays.
 */
export type MediaChange = {
    /**
     * A microphone.
     */
    audio?: boolean,
    /**
     * A camera.
     */
    video?: boolean,
    /**
     * A screen.
     */
    screen?: boolean,
};

/**
 * What a participant may do.
 */
export type Permissions = {
    /**
     * Send signals at all: nobody can take part in media without.
     */
    signal?: boolean,
    /**
     * Send signals of the type `custom` to everybody at once.
     */
    broadcast?: boolean,
    /**
     * Send sound.
     */
    audio?: boolean,
    /**
     * Send pictures.
     */
    video?: boolean,
    /**
     * Send a screen.
     */
    screen?: boolean,
};

/**
 * Body of `POST /api/video/rooms`.
 */
export type NewRoom = {
    /**
     * Its id; drawn by the server if it is left out.
     */
    roomId?: string,
    /**
     * For people; 1 to 120 characters.
     */
    name: string,
    /**
     * The user who is its host.
     */
    hostId?: string,
    /**
     * Seats; 6 if it is left out.
     */
    maxParticipants?: number,
    /**
     * Asked of whoever is neither host nor invited.
     */
    password?: string,
    /**
     * Who finds it.
     */
    visibility?: Visibility,
    /**
     * Who has to wait.
     */
    lobby?: LobbyMode,
    /**
     * How media travels.
     */
    topology?: Topology,
    /**
     * What becomes of it without its host.
     */
    hostPolicy?: HostPolicy,
    /**
     * Seconds after which it is closed if nobody has ever come; 300 if it is left out.
     */
    emptyTimeoutSec?: number,
    /**
     * Seconds after which it is closed when everybody has left; 60 if it is left out.
     */
    departureTimeoutSec?: number,
    /**
     * Seconds that a call lasts at most.
     */
    maxDurationSec?: number,
    /**
     * Seconds for which a seat is kept whose line is down; 20 if it is left out.
     */
    graceSec?: number,
    /**
     * When it opens, RFC 3339.
     */
    notBefore?: string,
    /**
     * When it ends, RFC 3339.
     */
    expiresAt?: string,
    /**
     * Whether it waits for the next call instead of being closed.
     */
    persistent?: boolean,
    /**
     * Whether media must go through a TURN server, so that no participant learns another's address.
     */
    relayOnly?: boolean,
    /**
     * How many send pictures at the same time.
     */
    maxVideoSenders?: number,
    /**
     * A JSON object of the application; at most 4 KiB.
     */
    metadata: Record<string, unknown>,
    /**
     * What participants may do unless something else is said of them.
     */
    permissions?: Permissions,
};

/**
 * Answer to `POST /api/video/rooms`.
 */
export type CreatedRoom = {
    /**
     * The room.
     */
    room: Room,
    /**
     * Makes whoever joins with it the host; shown once.
     */
    hostToken?: string,
    /**
     * The page on which to join, relative to the server.
     */
    joinUrl: string,
    /**
     * What one should know: `mesh_over_6`.
     */
    warnings: Array<string>,
};

/**
 * A room.
 */
export type Room = {
    /**
     * Its id.
     */
    roomId: string,
    /**
     * For people.
     */
    name: string,
    /**
     * The user who is its host; a label only where nobody signs in.
     */
    hostId: string | null,
    /**
     * Where it stands.
     */
    status: RoomStatus,
    /**
     * Who finds it.
     */
    visibility: Visibility,
    /**
     * Whether it has a password.
     */
    locked: boolean,
    /**
     * Who has to wait.
     */
    lobby: LobbyMode,
    /**
     * How media travels.
     */
    topology: Topology,
    /**
     * What becomes of it without its host.
     */
    hostPolicy: HostPolicy,
    /**
     * Seats.
     */
    maxParticipants: number,
    /**
     * Seats that are taken.
     */
    participantCount: number,
    /**
     * Of those, whose line is down.
     */
    reconnectingCount: number,
    /**
     * Seconds for which a seat is kept.
     */
    graceSec: number,
    /**
     * Whether media must go through a TURN server.
     */
    relayOnly: boolean,
    /**
     * Whether it waits for the next call instead of being closed.
     */
    persistent: boolean,
    /**
     * How many send pictures at the same time.
     */
    maxVideoSenders: number | null,
    /**
     * What the application says of it.
     */
    metadata: Record<string, unknown> | null,
    /**
     * What participants may do unless something else is said of them.
     */
    permissions: Permissions,
    /**
     * When it was created, RFC 3339 in UTC.
     */
    createdAt: string,
    /**
     * When its call began.
     */
    startedAt: string | null,
    /**
     * When it ends.
     */
    expiresAt: string | null,
    /**
     * When it was closed.
     */
    closedAt: string | null,
    /**
     * Its incarnation: changes with a restart of the server.
     */
    epoch: string,
    /**
     * Number of its last event.
     */
    roomSeq: number,
};

/**
 * Answer to `GET /api/video/rooms`.
 */
export type RoomList = {
    /**
     * The newest first.
     */
    rooms: Array<Room>,
    /**
     * For the next page, where there is one.
     */
    cursor?: string,
};

/**
 * Answer to `GET /api/video/rooms/{id}`.
 */
export type RoomDetail = {
    /**
     * Who is in it; only for those who are, its owner and the operator.
     */
    participants?: Array<Participant>,
    /**
     * Its id.
     */
    roomId: string,
    /**
     * For people.
     */
    name: string,
    /**
     * The user who is its host; a label only where nobody signs in.
     */
    hostId: string | null,
    /**
     * Where it stands.
     */
    status: RoomStatus,
    /**
     * Who finds it.
     */
    visibility: Visibility,
    /**
     * Whether it has a password.
     */
    locked: boolean,
    /**
     * Who has to wait.
     */
    lobby: LobbyMode,
    /**
     * How media travels.
     */
    topology: Topology,
    /**
     * What becomes of it without its host.
     */
    hostPolicy: HostPolicy,
    /**
     * Seats.
     */
    maxParticipants: number,
    /**
     * Seats that are taken.
     */
    participantCount: number,
    /**
     * Of those, whose line is down.
     */
    reconnectingCount: number,
    /**
     * Seconds for which a seat is kept.
     */
    graceSec: number,
    /**
     * Whether media must go through a TURN server.
     */
    relayOnly: boolean,
    /**
     * Whether it waits for the next call instead of being closed.
     */
    persistent: boolean,
    /**
     * How many send pictures at the same time.
     */
    maxVideoSenders: number | null,
    /**
     * What the application says of it.
     */
    metadata: Record<string, unknown> | null,
    /**
     * What participants may do unless something else is said of them.
     */
    permissions: Permissions,
    /**
     * When it was created, RFC 3339 in UTC.
     */
    createdAt: string,
    /**
     * When its call began.
     */
    startedAt: string | null,
    /**
     * When it ends.
     */
    expiresAt: string | null,
    /**
     * When it was closed.
     */
    closedAt: string | null,
    /**
     * Its incarnation: changes with a restart of the server.
     */
    epoch: string,
    /**
     * Number of its last event.
     */
    roomSeq: number,
};

/**
 * Body of `PATCH /api/video/rooms/{id}` (RFC 7396): what is left out stays, `null` takes away.
 */
export type RoomChange = {
    /**
     * For people.
     */
    name?: string,
    /**
     * A new password, or none.
     */
    password?: string,
    /**
     * Who finds it.
     */
    visibility?: Visibility,
    /**
     * Who has to wait.
     */
    lobby?: LobbyMode,
    /**
     * What becomes of it without its host.
     */
    hostPolicy?: HostPolicy,
    /**
     * Seats; not fewer than are taken.
     */
    maxParticipants?: number,
    /**
     * See [`NewRoom`].
     */
    emptyTimeoutSec?: number,
    /**
     * See [`NewRoom`].
     */
    departureTimeoutSec?: number,
    /**
     * See [`NewRoom`].
     */
    graceSec?: number,
    /**
     * What the application says of it, or nothing.
     */
    metadata: Record<string, unknown> | null,
    /**
     * What participants may do from now on.
     */
    permissions?: Permissions,
};

/**
 * What to do when the same person is in the room already.
 */
export type OnDuplicate = "replace" | "reject" | "allow";

/**
 * Body of `POST /api/video/rooms/{id}/join`.
 */
export type JoinRequest = {
    /**
     * The room, for commands; over HTTP the path names it, and this must be the same.
     */
    roomId?: string,
    /**
     * The session whose stream gets the events, as `hello` named it.
     */
    session?: string,
    /**
     * Instead: the connection, for who is signed in.
     */
    connectionId?: string,
    /**
     * For people; 1 to 120 characters.
     */
    displayName?: string,
    /**
     * Of the room.
     */
    password?: string,
    /**
     * An invitation: a JWT of the operator's issuer or of Santral.
     */
    joinToken?: string,
    /**
     * Makes the participant the host.
     */
    hostToken?: string,
    /**
     * The participant token of a seat that is to be taken again.
     */
    resume?: string,
    /**
     * With `resume`: the number of the last event of the room that the client has handled.
     */
    lastRoomSeq: number,
    /**
     * With `lastRoomSeq`: the incarnation of the room in which that was.
     */
    epoch?: string,
    /**
     * What to do when the same person is in the room already.
     */
    onDuplicate?: OnDuplicate,
    /**
     * A JSON object of the application; at most 4 KiB.
     */
    metadata: Record<string, unknown>,
    /**
     * Which media it sends.
     */
    media?: Media,
    /**
     * What it is there for; `moderator` comes from the host only.
     */
    role?: ParticipantRole,
    /**
     * The program that joins.
     */
    client?: ClientProgram,
};

/**
 * The program that joins.
 */
export type ClientProgram = {
    /**
     * Name of the SDK.
     */
    sdk?: string,
    /**
     * Its version.
     */
    version?: string,
    /**
     * What it can do.
     */
    features?: Array<string>,
};

/**
 * A participant as others see it.
 */
export type Participant = {
    /**
     * Its address for signals; never used again.
     */
    participantId: string,
    /**
     * The user, where there is one.
     */
    userId?: string,
    /**
     * For people.
     */
    displayName: string,
    /**
     * What it is there for.
     */
    role: ParticipantRole,
    /**
     * 1, 2, 3 … in the order of admission; 0 in the lobby. Who has the higher one is polite.
     */
    ordinal: number,
    /**
     * Where it stands.
     */
    state: ParticipantState,
    /**
     * Which media it sends.
     */
    media: Media,
    /**
     * Which of its media others shall not play.
     */
    mutedByHost: Media,
    /**
     * Whether it wants to speak.
     */
    handRaised: boolean,
    /**
     * Whether it is the host.
     */
    isHost: boolean,
    /**
     * What it may do.
     */
    permissions: Permissions,
    /**
     * What the application says of it.
     */
    metadata: Record<string, unknown>,
    /**
     * When it came in, RFC 3339 in UTC; when it knocked, in the lobby.
     */
    joinedAt: string,
    /**
     * How its call is: `good`, `fair`, `poor`, `lost`.
     */
    quality?: string,
};

/**
 * How a join went.
 */
export type JoinStatus = "joined" | "lobby";

/**
 * Answer to a join: 200 with everything, 202 from the lobby with the first three fields.
 */
export type JoinAnswer = {
    /**
     * How it went.
     */
    status: JoinStatus,
    /**
     * Oneself.
     */
    participant: Participant,
    /**
     * Proves who one is in this room; a secret, good until one leaves. A resume changes it.
     */
    token: string,
    /**
     * Whether it was in already.
     */
    already: boolean,
    /**
     * After a resume: whether events were lost, so that the client must go by this answer.
     */
    resync: boolean,
    /**
     * The room.
     */
    room: Room,
    /**
     * The others. The newcomer offers to each of them.
     */
    participants: Array<Participant>,
    /**
     * Who waits to be let in; for the host and moderators.
     */
    waiting?: Array<Participant>,
    /**
     * Number of the room's last event.
     */
    roomSeq: number,
    /**
     * The room's incarnation.
     */
    epoch: string,
    /**
     * Number of the last signal that the server has of this participant.
     */
    lastSeq: number,
    /**
     * What a request may hold.
     */
    limits: SignalLimits,
    /**
     * How much to send.
     */
    advice: Advice,
    /**
     * For `iceServers` of the configuration of an `RTCPeerConnection`. May be empty.
     */
    iceServers: Array<IceServer>,
    /**
     * How long they are good, in seconds from now.
     */
    ttlSec: number,
    /**
     * When to take fresh ones, RFC 3339; absent where nothing ends.
     */
    refreshAt?: string,
    /**
     * Whether media must go through TURN: `iceTransportPolicy: "relay"`.
     */
    relayOnly: boolean,
};

/**
 * What whoever is in a room gets to know at the join.
 */
export type Inside = {
    /**
     * Whether it was in already.
     */
    already: boolean,
    /**
     * After a resume: whether events were lost, so that the client must go by this answer.
     */
    resync: boolean,
    /**
     * The room.
     */
    room: Room,
    /**
     * The others. The newcomer offers to each of them.
     */
    participants: Array<Participant>,
    /**
     * Who waits to be let in; for the host and moderators.
     */
    waiting?: Array<Participant>,
    /**
     * Number of the room's last event.
     */
    roomSeq: number,
    /**
     * The room's incarnation.
     */
    epoch: string,
    /**
     * Number of the last signal that the server has of this participant.
     */
    lastSeq: number,
    /**
     * What a request may hold.
     */
    limits: SignalLimits,
    /**
     * How much to send.
     */
    advice: Advice,
    /**
     * For `iceServers` of the configuration of an `RTCPeerConnection`. May be empty.
     */
    iceServers: Array<IceServer>,
    /**
     * How long they are good, in seconds from now.
     */
    ttlSec: number,
    /**
     * When to take fresh ones, RFC 3339; absent where nothing ends.
     */
    refreshAt?: string,
    /**
     * Whether media must go through TURN: `iceTransportPolicy: "relay"`.
     */
    relayOnly: boolean,
};

/**
 * What a request with signals may hold.
 */
export type SignalLimits = {
    /**
     * Bytes of one signal's data.
     */
    maxSignalBytes: number,
    /**
     * Signals of one request.
     */
    maxSignals: number,
    /**
     * Bytes of one request.
     */
    maxRequestBytes: number,
};

/**
 * Body of `POST /api/video/rooms/{id}/leave`.
 */
export type LeaveRequest = {
    /**
     * The room, for commands; over HTTP the path names it, and this must be the same.
     */
    roomId?: string,
    /**
     * The participant token, for `navigator.sendBeacon`, which sends no headers.
     */
    token?: string,
    /**
     * `client_leave`, or `page_closed` for a page that may come back within seconds.
     */
    reason?: LeaveReason,
};

/**
 * Body of `PATCH /api/video/rooms/{id}/participants/{participant}`.
 */
export type ParticipantChange = {
    /**
     * For people; one's own.
     */
    displayName?: string,
    /**
     * What the application says of it, or nothing; one's own.
     */
    metadata: Record<string, unknown> | null,
    /**
     * Which media it sends; one's own.
     */
    media?: MediaChange,
    /**
     * Whether it wants to speak; one's own, and hosts may lower a hand.
     */
    handRaised?: boolean,
    /**
     * What it is there for; from the host.
     */
    role?: ParticipantRole,
    /**
     * What it may do; from host and moderators.
     */
    permissions?: Permissions,
    /**
     * Which of its media others shall not play; from host and moderators.
     */
    mute?: MediaChange,
};

/**
 * Body of `POST /api/video/rooms/{id}/lobby`.
 */
export type LobbyDecision = {
    /**
     * Who comes in.
     */
    admit?: Chosen,
    /**
     * Who does not.
     */
    deny?: Chosen,
};

/**
 * Some of those who wait, or all of them.
 */
export type Chosen = string | Array<string>;

/**
 * Answer to `POST /api/video/rooms/{id}/lobby`.
 */
export type LobbyDecided = {
    /**
     * Who is in now.
     */
    admitted: Array<string>,
    /**
     * Who was turned away.
     */
    denied: Array<string>,
    /**
     * Who must wait on, because the room is full.
     */
    full: Array<string>,
};

/**
 * Body of `POST /api/video/rooms/{id}/host`.
 */
export type HostTransfer = {
    /**
     * Who is host from now on.
     */
    participantId: string,
};

/**
 * Body of `POST /api/video/rooms/{id}/invitations`.
 */
export type InvitationRequest = {
    /**
     * What the guest is called; else the guest says so.
     */
    name?: string,
    /**
     * What the guest is there for; else the guest says so, `moderator` excepted.
     */
    role?: ParticipantRole,
    /**
     * Whether it makes the guest the host.
     */
    host?: boolean,
    /**
     * What the guest may do; else what the room says.
     */
    permissions?: Permissions,
    /**
     * Seconds for which it is good, 60 to 2,592,000; a day if it is left out.
     */
    ttlSec?: number,
    /**
     * How many may come in with it, at most 10,000; without limit if it is left out.
     */
    maxUses?: number,
};

/**
 * Answer to `POST /api/video/rooms/{id}/invitations`.
 */
export type CreatedInvitation = {
    /**
     * For `joinToken`; a secret, shown once.
     */
    joinToken: string,
    /**
     * When it ends, RFC 3339 in UTC.
     */
    expiresAt: string,
};

/**
 * What a signal is.
 */
export type SignalType = "offer" | "answer" | "pranswer" | "rollback" | "candidate" | "candidates" | "end-of-candidates" | "renegotiate" | "bye" | "custom";

/**
 * For whom a signal is.
 */
export type SignalTo = string | Array<string>;

/**
 * One signal.
 */
export type Signal = {
    /**
     * Its number, counted by the sender from 1: a repeated one is not passed on again, and those that
     * overtook others wait for them.
     */
    seq: number,
    /**
     * For whom.
     */
    to: SignalTo,
    /**
     * What it is.
     */
    type: SignalType,
    /**
     * Which negotiation it belongs to; chosen by who offers.
     */
    negotiationId?: string,
    /**
     * Who sends it; nobody needs to say, and who says somebody else is refused.
     */
    from?: string,
    /**
     * An object or an array, passed on as it was written.
     */
    data: unknown,
};

/**
 * Body of `POST /api/webrtc/signal`: `signals`, or the fields of one signal.
 */
export type SignalRequest = {
    /**
     * The room.
     */
    roomId: string,
    /**
     * Several signals, at most 64.
     */
    signals?: Array<Signal>,
    /**
     * See [`Signal`].
     */
    seq: number,
    /**
     * See [`Signal`].
     */
    to?: SignalTo,
    /**
     * See [`Signal`].
     */
    type?: SignalType,
    /**
     * See [`Signal`].
     */
    negotiationId?: string,
    /**
     * See [`Signal`].
     */
    from?: string,
    /**
     * See [`Signal`].
     */
    data: unknown,
};

/**
 * What became of one signal.
 */
export type SignalFate = {
    /**
     * Its number, if it had one.
     */
    seq: number,
    /**
     * Its number among the events of the room.
     */
    roomSeq: number,
    /**
     * To how many it goes at once.
     */
    delivered: number,
    /**
     * For how many it waits, because their line is down.
     */
    buffered: number,
    /**
     * It had come before; it was not passed on again.
     */
    duplicate?: boolean,
    /**
     * It waits for those that it has overtaken.
     */
    parked?: boolean,
    /**
     * Why it was not passed on: `target_not_in_room`, `target_buffer_full`.
     */
    error?: string,
};

/**
 * Answer to `POST /api/webrtc/signal`.
 */
export type SignalAnswer = {
    /**
     * One for each signal, in their order.
     */
    accepted: Array<SignalFate>,
    /**
     * The last number up to which nothing of the sender is missing.
     */
    lastSeq: number,
};

/**
 * A server, or several that take the same credential: `RTCIceServer` of WebRTC 1.0, section 4.2.4.
 */
export type IceServer = {
    /**
     * URIs of RFC 7064 or RFC 7065.
     */
    urls: Array<string>,
    /**
     * For TURN: when the credential ends, in seconds since 1970, and whose it is.
     */
    username?: string,
    /**
     * For TURN: the password of that user name.
     */
    credential?: string,
};

/**
 * Answer of `GET /api/webrtc/ice-servers`; the same comes again in `webrtc.ice-servers` before it ends.
 */
export type IceServers = {
    /**
     * For `iceServers` of the configuration of an `RTCPeerConnection`. May be empty.
     */
    iceServers: Array<IceServer>,
    /**
     * How long they are good, in seconds from now.
     */
    ttlSec: number,
    /**
     * When to take fresh ones, RFC 3339; absent where nothing ends.
     */
    refreshAt?: string,
    /**
     * Whether media must go through TURN: `iceTransportPolicy: "relay"`.
     */
    relayOnly: boolean,
};

/**
 * Body of `POST /api/webrtc/stats`: one report of one participant, about every ten seconds.
 */
export type StatsReport = {
    /**
     * The room.
     */
    roomId: string,
    /**
     * Each of the others once.
     */
    peers: Array<PeerReport>,
};

/**
 * The link to one other participant, from the numbers of `RTCPeerConnection.getStats()`.
 */
export type PeerReport = {
    /**
     * The other's participant id.
     */
    peer: string,
    /**
     * How the link does.
     */
    state: LinkState,
    /**
     * The candidates in use, its own first: type and protocol, for a relay that to the TURN server. Words
     * that nobody knows count as unknown.
     */
    pair?: string,
    /**
     * Round trip, in milliseconds.
     */
    rttMs?: number,
    /**
     * Jitter of what arrives (RFC 3550, section 6.4.1), in milliseconds.
     */
    jitterMs?: number,
    /**
     * Packets that were lost since the last report, in percent.
     */
    lossPct?: number,
    /**
     * What came in since the last report, in kilobits a second.
     */
    kbpsIn?: number,
    /**
     * What went out since the last report, in kilobits a second.
     */
    kbpsOut?: number,
    /**
     * Frames a second that were decoded.
     */
    fps?: number,
    /**
     * Width of what was decoded, in pixels.
     */
    width?: number,
    /**
     * Height of what was decoded, in pixels.
     */
    height?: number,
    /**
     * Freezes since the link began, as `freezeCount` counts them.
     */
    freezes?: number,
    /**
     * From the first offer or answer to the link being connected, in milliseconds. The same number again
     * counts once.
     */
    setupMs?: number,
};

/**
 * How a link does: `RTCPeerConnectionState` of WebRTC 1.0, section 4.3.3.
 */
export type LinkState = "new" | "connecting" | "connected" | "disconnected" | "failed" | "closed";

/**
 * How a call goes for a participant.
 */
export type CallScore = "good" | "fair" | "poor" | "lost";

/**
 * Answer of `POST /api/webrtc/stats`.
 */
export type ScoreAnswer = {
    /**
     * How the call goes for whoever reported; absent while there is no link to judge.
     */
    score?: CallScore,
};

/**
 * What a participant should send at most to each of the others.
 */
export type Advice = {
    /**
     * Bitrate of video, in kilobits a second.
     */
    maxVideoKbps: number,
    /**
     * Height of video, in pixels.
     */
    maxHeight: number,
    /**
     * Frames of video a second.
     */
    maxFps: number,
};

/**
 * What a webhook tells of. Types are added, never renamed.
 */
export type WebhookType = "room_started" | "room_finished" | "participant_joined" | "participant_left" | "lobby_waiting" | "host_changed" | "participant_kicked" | "quality_poor" | "client_connected" | "client_disconnected" | "channel_occupied" | "channel_vacated";

/**
 * The body of each webhook.
 */
export type Webhook = {
    /**
     * Names the event: the same at every try and at every address.
     */
    id: string,
    /**
     * What happened.
     */
    type: WebhookType,
    /**
     * When it happened, RFC 3339 in UTC.
     */
    at: string,
    /**
     * What it is about, such as `room:<id>`: events of one subject arrive in order.
     */
    subject: string,
    /**
     * More, by type.
     */
    data: Record<string, unknown>,
};

/**
 * Data of `client_connected` and `client_disconnected`.
 */
export type ConnectionWebhook = {
    /**
     * The connection.
     */
    connectionId: string,
    /**
     * The user, where there is one.
     */
    userId?: string,
    /**
     * How it is connected.
     */
    transport: string,
    /**
     * From where.
     */
    address: string,
    /**
     * With what program, as it says.
     */
    userAgent?: string,
    /**
     * Since when, RFC 3339 in UTC.
     */
    connectedAt: string,
    /**
     * Why it ended, as in docs/codes.md; only in `client_disconnected`.
     */
    reason?: string,
};

/**
 * Data of `channel_occupied` and `channel_vacated`.
 */
export type ChannelWebhook = {
    /**
     * The channel.
     */
    channel: string,
};

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
export type ProblemCode = "invalid_json" | "invalid_field" | "invalid_query" | "invalid_channel" | "invalid_event" | "unauthorized" | "invalid_token" | "forbidden" | "forbidden_channel" | "blocked" | "too_many" | "invalid_position" | "invalid_session" | "too_deep" | "invalid_batch" | "invalid_target" | "invalid_idempotency_key" | "weak_password" | "bad_credentials" | "login_required" | "registration_closed" | "setup_closed" | "not_found" | "method_not_allowed" | "body_timeout" | "upgrade_required" | "transport_disabled" | "name_taken" | "last_admin" | "too_many_api_keys" | "too_large" | "unsupported_media_type" | "idempotency_key_reused" | "too_many_subscriptions" | "unknown_setting" | "invalid_setting" | "setting_needs_restart" | "would_lock_out" | "internal" | "storage_busy" | "storage_full" | "storage_failed" | "draining" | "too_many_logins" | "too_many_connections" | "too_many_connections_of_user" | "too_many_connections_of_address" | "rate_limited" | "origin_not_allowed" | "room_exists" | "exceeds_mesh_limit" | "too_many_rooms" | "below_current" | "banned" | "not_open_yet" | "no_event_stream" | "bad_password" | "session_required" | "already_in_room" | "room_full" | "lobby_full" | "invitation_used" | "bad_token" | "not_joined" | "superseded" | "wrong_room" | "in_lobby" | "permission_denied" | "from_mismatch" | "target_not_in_room" | "target_buffer_full" | "cannot_broadcast" | "seq_gap" | "room_closed" | "signal_too_large" | "host_mismatch" | "precondition_failed";
