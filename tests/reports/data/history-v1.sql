BEGIN TRANSACTION;
CREATE TABLE acceptances (
	id INTEGER NOT NULL, 
	cell VARCHAR(120) NOT NULL, 
	variant TEXT NOT NULL, 
	target TEXT NOT NULL, 
	runtime TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	threads INTEGER NOT NULL, 
	metric VARCHAR(60) NOT NULL, 
	until VARCHAR(10) NOT NULL, 
	reason TEXT NOT NULL, 
	author TEXT NOT NULL, 
	accepted VARCHAR(40) NOT NULL, 
	run VARCHAR(120) NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "acceptances" VALUES(1,'mobilenetv3_small_fp32-x86-onnxruntime-cpu-1-468e6e26','mobilenetv3-small-fp32','x86','onnxruntime','cpu',1,'','2026-02-01','agreed','Ann','2026-01-02T09:00:00+00:00','night-2');
CREATE TABLE baselines (
	id INTEGER NOT NULL, 
	job VARCHAR(120) NOT NULL, 
	run VARCHAR(120) NOT NULL, 
	folder TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	author TEXT NOT NULL, 
	promoted VARCHAR(40) NOT NULL, 
	forced BOOLEAN NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "baselines" VALUES(1,'nightly','night-1','/srv/runs/night-1','release','Ann','2026-01-01T09:00:00+00:00',0);
CREATE TABLE cells (
	night INTEGER NOT NULL, 
	cell VARCHAR(120) NOT NULL, 
	variant TEXT NOT NULL, 
	target TEXT NOT NULL, 
	runtime TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	threads INTEGER NOT NULL, 
	outcome TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	trust TEXT NOT NULL, 
	verdict TEXT NOT NULL, 
	sha256 TEXT NOT NULL, 
	runtime_version TEXT NOT NULL, 
	device TEXT NOT NULL, 
	emulated BOOLEAN NOT NULL, 
	p50_ms FLOAT, 
	p50_low_ms FLOAT, 
	p50_high_ms FLOAT, 
	p95_ms FLOAT, 
	peak_mb FLOAT, 
	auc FLOAT, 
	auc_low FLOAT, 
	auc_high FLOAT, 
	size_mb FLOAT, 
	instructions FLOAT, 
	PRIMARY KEY (night, cell), 
	FOREIGN KEY(night) REFERENCES nights (id) ON DELETE CASCADE
);
INSERT INTO "cells" VALUES(1,'mobilenetv3_small_fp32-x86-onnxruntime-cpu-1-468e6e26','mobilenetv3-small-fp32','x86','onnxruntime','cpu',1,'ok','','trusted','','0000000000000000000000000000000000000000000000000000000000000000','1.23.0','x86',0,1.55541786800567494175e+00,1.54016517741279912456e+00,1.57082161029984468392e+00,1.70280355,96.0,0.97145,0.95822375,0.983385625,6.1,NULL);
INSERT INTO "cells" VALUES(1,'mobilenetv3_small_fp32-x86-onnxruntime-cpu-4-a55ba4c4','mobilenetv3-small-fp32','x86','onnxruntime','cpu',4,'ok','','trusted','','0000000000000000000000000000000000000000000000000000000000000000','1.23.0','x86',0,5.9823734953004037429e-01,5.92370989084859411732e-01,6.04161805637410842528e-01,6.54924250000000096605e-01,96.0,0.97145,0.95822375,0.983385625,6.1,NULL);
INSERT INTO "cells" VALUES(2,'mobilenetv3_small_fp32-x86-onnxruntime-cpu-1-468e6e26','mobilenetv3-small-fp32','x86','onnxruntime','cpu',1,'ok','','trusted','','0000000000000000000000000000000000000000000000000000000000000000','1.23.0','x86',0,1.55541786800567494175e+00,1.54016517741279912456e+00,1.57082161029984468392e+00,1.70280355,96.0,0.97145,0.95822375,0.983385625,6.1,NULL);
INSERT INTO "cells" VALUES(2,'mobilenetv3_small_fp32-x86-onnxruntime-cpu-4-a55ba4c4','mobilenetv3-small-fp32','x86','onnxruntime','cpu',4,'ok','','trusted','','0000000000000000000000000000000000000000000000000000000000000000','1.23.0','x86',0,5.9823734953004037429e-01,5.92370989084859411732e-01,6.04161805637410842528e-01,6.54924250000000096605e-01,96.0,0.97145,0.95822375,0.983385625,6.1,NULL);
CREATE TABLE edgerig_history (
	id INTEGER NOT NULL, 
	schema_version INTEGER NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "edgerig_history" VALUES(1,1);
CREATE TABLE nights (
	id INTEGER NOT NULL, 
	run VARCHAR(120) NOT NULL, 
	job VARCHAR(120) NOT NULL, 
	started VARCHAR(40) NOT NULL, 
	finished VARCHAR(40), 
	edgerig VARCHAR(40) NOT NULL, 
	code_commit VARCHAR(60) NOT NULL, 
	setting VARCHAR(20) NOT NULL, 
	tag TEXT NOT NULL, 
	baseline TEXT NOT NULL, 
	exit_code INTEGER NOT NULL, 
	headline TEXT NOT NULL, 
	PRIMARY KEY (id), 
	UNIQUE (run)
);
INSERT INTO "nights" VALUES(1,'night-1','nightly','2026-01-01T01:00:00+00:00','2026-01-01T00:21:40Z','0.1.0','0123456789abcdef','default','<i>tag</i>','',0,'Headline 1.');
INSERT INTO "nights" VALUES(2,'night-2','nightly','2026-01-02T01:00:00+00:00','2026-01-01T00:21:40Z','0.1.0','0123456789abcdef','default','<i>tag</i>','',1,'Headline 2.');
CREATE INDEX ix_nights_job ON nights (job);
CREATE INDEX ix_cells_cell ON cells (cell);
COMMIT;
