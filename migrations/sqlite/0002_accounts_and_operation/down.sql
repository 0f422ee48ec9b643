DROP INDEX connections_by_end;
DROP INDEX event_logs_by_actor;
DROP TABLE settings_history;
DROP TABLE blocks;
DROP TABLE api_keys;
DROP TABLE logins;
