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
	notes BLOB, 
	once BLOB, 
	anew BLOB, 
	PRIMARY KEY (run_id, number)
);
INSERT INTO "reverse_etl_batches" VALUES('474c1c21fe5b47b4a878ec26d7acc485',1,'upsert',X'920002',NULL,1.79604967051559305185e+09,1.79604967064833021166e+09,X'9692000291A76372656174656491C091C091C091C2',NULL,X'90',X'920002');
INSERT INTO "reverse_etl_batches" VALUES('474c1c21fe5b47b4a878ec26d7acc485',2,'upsert',X'920202',NULL,1.79604967053354239465e+09,1.79604967066050100329e+09,X'9692020291A76372656174656491C091C091C091C2',NULL,X'90',X'920202');
INSERT INTO "reverse_etl_batches" VALUES('474c1c21fe5b47b4a878ec26d7acc485',3,'upsert',X'920401',NULL,1.79604967054991292952e+09,1.79604967066050100329e+09,X'9692040191A76372656174656491C091C091C091C2',NULL,X'90',X'920401');
INSERT INTO "reverse_etl_batches" VALUES('fbd58bd0466b42d087c73cafa3f17189',1,'upsert',X'920002',NULL,1.79604967111790084837e+09,1.79604967116255879403e+09,X'9692000291A77570646174656491C091C091C091C2',NULL,X'90',X'920002');
INSERT INTO "reverse_etl_batches" VALUES('fbd58bd0466b42d087c73cafa3f17189',2,'upsert',X'9402010101',NULL,1.79604967113202524187e+09,1796049671.16602,X'96940201010192A775706461746564A76372656174656491C091C091C091C2',NULL,X'90',X'9402010101');
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
CREATE TABLE reverse_etl_plans (
	plan_id VARCHAR NOT NULL, 
	sync VARCHAR NOT NULL, 
	run_id VARCHAR NOT NULL, 
	made_at FLOAT NOT NULL, 
	counts TEXT NOT NULL, 
	findings TEXT NOT NULL, 
	basis TEXT NOT NULL, 
	status VARCHAR NOT NULL, 
	who VARCHAR, 
	why TEXT, 
	decided_at FLOAT, 
	applied_run VARCHAR, 
	PRIMARY KEY (plan_id, sync)
);
CREATE TABLE reverse_etl_quota (
	destination VARCHAR NOT NULL, 
	used BIGINT NOT NULL, 
	"limit" BIGINT NOT NULL, 
	at FLOAT NOT NULL, 
	day VARCHAR NOT NULL, 
	ours BIGINT NOT NULL, 
	asked_at FLOAT NOT NULL, 
	PRIMARY KEY (destination)
);
CREATE TABLE reverse_etl_runs (
	number INTEGER NOT NULL, 
	run_id VARCHAR NOT NULL, 
	sync VARCHAR NOT NULL, 
	destination VARCHAR NOT NULL, 
	status VARCHAR NOT NULL, 
	started_at FLOAT NOT NULL, 
	ended_at FLOAT, 
	model_rows BIGINT, 
	counts TEXT NOT NULL, 
	detail TEXT, 
	kind VARCHAR DEFAULT 'sync' NOT NULL, 
	plan_id VARCHAR, 
	version INTEGER DEFAULT '1' NOT NULL, 
	undoes VARCHAR, 
	PRIMARY KEY (number), 
	UNIQUE (run_id)
);
INSERT INTO "reverse_etl_runs" VALUES(1,'474c1c21fe5b47b4a878ec26d7acc485','people_to_sink','sink','done',1.79604967030208182332e+09,1.79604967083889389034e+09,5,'{"model_rows":5,"synced_rows":0,"added":5,"changed":0,"removed":0,"unchanged":0,"rejected":0,"held":0,"quarantined":0,"superseded":0,"created":5,"updated":0,"deleted":0,"skipped":0,"failed":0,"possible_duplicates":0,"in_quarantine":0,"calls":3,"bytes":159,"milliseconds":1067}',NULL,'sync','622f63d8a24c10f6',1,NULL);
INSERT INTO "reverse_etl_runs" VALUES(2,'fbd58bd0466b42d087c73cafa3f17189','people_to_sink','sink','open',1.79604967108033132549e+09,NULL,5,'{"model_rows":5,"synced_rows":5,"added":1,"changed":3,"removed":1,"unchanged":1,"rejected":0,"held":0,"quarantined":0,"superseded":0}',NULL,'sync','a5b1449cf493e2ef',1,NULL);
CREATE TABLE reverse_etl_schema (
	version INTEGER NOT NULL, 
	PRIMARY KEY (version)
);
INSERT INTO "reverse_etl_schema" VALUES(2);
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
INSERT INTO "reverse_etl_usage" VALUES('2026-11-30','sink','people_to_sink',23,5,159);
CREATE INDEX reverse_etl_runs_by_sync ON reverse_etl_runs (sync, number);
CREATE INDEX reverse_etl_plans_by_sync ON reverse_etl_plans (sync, status);
COMMIT;
