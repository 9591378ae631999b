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
	PRIMARY KEY (run_id, number)
);
INSERT INTO "reverse_etl_batches" VALUES('c07a5d742e7448c0a9fcbe32bee7f1c6',1,'upsert',X'920002',NULL,1.79604949856299471854e+09,1.79604949878161787991e+09,X'9692000291A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('c07a5d742e7448c0a9fcbe32bee7f1c6',2,'upsert',X'920202',NULL,1.79604949859282088278e+09,1.79604949879518175129e+09,X'9692020291A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('c07a5d742e7448c0a9fcbe32bee7f1c6',3,'upsert',X'920401',NULL,1.79604949861580467226e+09,1.79604949879518175129e+09,X'9692040191A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('fc1ef2996b094aad95d5bcee0c4eba53',1,'upsert',X'920002',NULL,1.79604949963494133942e+09,1.79604949970160651206e+09,X'9692000291A77570646174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('fc1ef2996b094aad95d5bcee0c4eba53',2,'upsert',X'9402010101',NULL,1.79604949964767146106e+09,1.79604949970704531672e+09,X'96940201010192A775706461746564A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('fc1ef2996b094aad95d5bcee0c4eba53',3,'delete',X'920301',NULL,1.79604949967111754416e+09,1.79604949971558141706e+09,X'9692030191A764656C6574656491C091C091C091C2',NULL);
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
INSERT INTO "reverse_etl_runs" VALUES(1,'c07a5d742e7448c0a9fcbe32bee7f1c6','people_to_sink','sink','done',1.7960494980447127819e+09,1.79604949909620451933e+09,5,'{"model_rows":5,"synced_rows":0,"added":5,"changed":0,"removed":0,"unchanged":0,"rejected":0,"held":0,"created":5,"updated":0,"deleted":0,"skipped":0,"failed":0,"calls":3,"bytes":159,"milliseconds":1512}',NULL,'sync','28fdb6db9d4ec6f6',1,NULL);
INSERT INTO "reverse_etl_runs" VALUES(2,'fc1ef2996b094aad95d5bcee0c4eba53','people_to_sink','sink','open',1.79604949941168355945e+09,NULL,5,'{"model_rows":5,"synced_rows":5,"added":1,"changed":3,"removed":1,"unchanged":1,"rejected":0,"held":0}',NULL,'sync','d6377c162de56a30',1,NULL);
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
