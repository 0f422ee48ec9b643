ALTER TABLE event_logs
    ALTER COLUMN actor TYPE TEXT,
    ALTER COLUMN message TYPE TEXT,
    ALTER COLUMN details_json TYPE TEXT;
ALTER TABLE users ALTER COLUMN token_version TYPE INTEGER;
DROP INDEX event_logs_by_actor;
DROP INDEX event_logs_by_level;
DROP INDEX event_logs_by_type;
CREATE INDEX event_logs_by_type ON event_logs (type, created_at);
DROP INDEX connections_by_end;
DROP INDEX users_by_change;
DROP INDEX users_by_role;
DROP TABLE settings_history;
DROP TABLE blocks;
DROP TABLE api_keys;
DROP TABLE logins;
