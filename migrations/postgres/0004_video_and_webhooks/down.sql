DROP TABLE webhook_outbox;
DROP TABLE video_bans;
ALTER TABLE video_participants DROP COLUMN is_host;
ALTER TABLE video_participants DROP COLUMN principal;
ALTER TABLE video_rooms DROP COLUMN metadata_json;
ALTER TABLE video_rooms DROP COLUMN host_token_hash;
ALTER TABLE video_rooms DROP COLUMN owner;
