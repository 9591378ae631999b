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
INSERT INTO "reverse_etl_batches" VALUES('a99c7b65047e4954b511e30f619f7ace',1,'upsert',X'920002',NULL,1.7960495038299424648e+09,1.79604950397884130476e+09,X'9692000291A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('a99c7b65047e4954b511e30f619f7ace',2,'upsert',X'920202',NULL,1.79604950384659337999e+09,1.79604950399102258678e+09,X'9692020291A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('a99c7b65047e4954b511e30f619f7ace',3,'upsert',X'920401',NULL,1.79604950385903549192e+09,1.79604950399102258678e+09,X'9692040191A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('e78833cc4cc945d6bfe4c51c22dcc25f',1,'upsert',X'920002',NULL,1.7960495050110263824e+09,1.79604950506733202931e+09,X'9692000291A77570646174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('e78833cc4cc945d6bfe4c51c22dcc25f',2,'upsert',X'9402010101',NULL,1.79604950502414059641e+09,1.79604950507069540026e+09,X'96940201010192A775706461746564A76372656174656491C091C091C091C2',NULL);
INSERT INTO "reverse_etl_batches" VALUES('e78833cc4cc945d6bfe4c51c22dcc25f',3,'delete',X'920301',NULL,1.79604950502414059641e+09,1.79604950507069540026e+09,X'9692030191A764656C6574656491C091C091C091C2',NULL);
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
INSERT INTO "reverse_etl_runs" VALUES(1,'a99c7b65047e4954b511e30f619f7ace','people_to_sink','sink','done',1.79604950342344546311e+09,1.79604950435016894345e+09,5,'{"model_rows":5,"synced_rows":0,"added":5,"changed":0,"removed":0,"unchanged":0,"rejected":0,"held":0,"created":5,"updated":0,"deleted":0,"skipped":0,"failed":0,"calls":3,"bytes":159,"milliseconds":1535}',NULL,'sync','78ff2a2923a22b95',1,NULL);
INSERT INTO "reverse_etl_runs" VALUES(2,'e78833cc4cc945d6bfe4c51c22dcc25f','people_to_sink','sink','open',1.79604950477225327491e+09,NULL,5,'{"model_rows":5,"synced_rows":5,"added":1,"changed":3,"removed":1,"unchanged":1,"rejected":0,"held":0}',NULL,'sync','81fd7091654672f5',1,NULL);
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
