ALTER TABLE messages DROP COLUMN options;
