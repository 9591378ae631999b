-- The journal that belongs to it.
BEGIN TRANSACTION;
CREATE TABLE reverse_etl_batches (
	run_id VARCHAR NOT NULL, 
	number INTEGER NOT NULL, 
	operation VARCHAR NOT NULL, 
	rows BLOB NOT NULL, 
	job VARCHAR, 
	sent_at FLOAT NOT NULL, 
	answered_at FLOAT, 
	answers BLOB, 
	PRIMARY KEY (run_id, number)
);
INSERT INTO "reverse_etl_batches" VALUES('be1cc7099769424ab69415e93fa3613f',1,'upsert',X'920002',NULL,1.7960498063573048115e+09,1.79604980658192968367e+09,X'9692000291A76372656174656491C091C091C091C2');
INSERT INTO "reverse_etl_batches" VALUES('be1cc7099769424ab69415e93fa3613f',2,'upsert',X'920202',NULL,1.79604980638287591932e+09,1.79604980658192968367e+09,X'9692020291A76372656174656491C091C091C091C2');
INSERT INTO "reverse_etl_batches" VALUES('be1cc7099769424ab69415e93fa3613f',3,'upsert',X'920401',NULL,1.79604980658192968367e+09,1.79604980661761593819e+09,X'9692040191A76372656174656491C091C091C091C2');
INSERT INTO "reverse_etl_batches" VALUES('d2607f1ff3d74a09b9886b2d092d83a0',1,'upsert',X'920002',NULL,1.79604980762942719463e+09,1.79604980769792246819e+09,X'9692000291A77570646174656491C091C091C091C2');
INSERT INTO "reverse_etl_batches" VALUES('d2607f1ff3d74a09b9886b2d092d83a0',2,'upsert',X'9402010101',NULL,1.79604980765774822231e+09,1.79604980772689342503e+09,X'96940201010192A775706461746564A76372656174656491C091C091C091C2');
INSERT INTO "reverse_etl_batches" VALUES('d2607f1ff3d74a09b9886b2d092d83a0',3,'delete',X'920301',NULL,1.79604980765774822231e+09,1.79604980774751710886e+09,X'9692030191A764656C6574656491C091C091C091C2');
CREATE TABLE reverse_etl_control (
	number INTEGER NOT NULL, 
	action VARCHAR NOT NULL, 
	scope VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (number)
);
CREATE TABLE reverse_etl_model_results (
	model VARCHAR NOT NULL, 
	test VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (model, test)
);
CREATE TABLE reverse_etl_pace (
	account VARCHAR NOT NULL, 
	next_at FLOAT NOT NULL, 
	held_until FLOAT NOT NULL, 
	PRIMARY KEY (account)
);
CREATE TABLE reverse_etl_runs (
	number INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	sync VARCHAR NOT NULL, 
	destination VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	started_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	plan_id VARCHAR, 
	model_rows BIGINT, 
	counts TEXT NOT NULL, 
	detail TEXT, 
	PRIMARY KEY (number), 
	UNIQUE (run_id)
);
INSERT INTO "reverse_etl_runs" VALUES(1,'be1cc7099769424ab69415e93fa3613f','people_to_sink','sink','done',1796049805.73711,1.79604980699245524405e+09,NULL,5,'{"model_rows":5,"synced_rows":0,"added":5,"changed":0,"removed":0,"unchanged":0,"rejected":0,"held":0,"created":5,"updated":0,"deleted":0,"skipped":0,"failed":0,"calls":3,"bytes":164,"milliseconds":1795}',NULL);
INSERT INTO "reverse_etl_runs" VALUES(2,'d2607f1ff3d74a09b9886b2d092d83a0','people_to_sink','sink','open',1.79604980734739947323e+09,NULL,NULL,5,'{"model_rows":5,"synced_rows":5,"added":1,"changed":3,"removed":1,"unchanged":1,"rejected":0,"held":0}',NULL);
CREATE TABLE reverse_etl_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "reverse_etl_schema" VALUES(1);
CREATE TABLE reverse_etl_stops (
	scope VARCHAR NOT NULL, 
	who VARCHAR NOT NULL, 
	why TEXT NOT NULL, 
	at FLOAT NOT NULL, 
	PRIMARY KEY (scope)
);
CREATE TABLE reverse_etl_usage (
	day VARCHAR NOT NULL, 
	destination VARCHAR NOT NULL, 
	sync VARCHAR NOT NULL, 
	calls BIGINT NOT NULL, 
	rows BIGINT NOT NULL, 
	bytes BIGINT NOT NULL, 
	PRIMARY KEY (day, destination, sync)
);
INSERT INTO "reverse_etl_usage" VALUES('2026-11-30','sink','people_to_sink',3,5,164);
CREATE INDEX reverse_etl_runs_by_sync ON reverse_etl_runs (sync, number);
COMMIT;
