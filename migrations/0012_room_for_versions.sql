-- A job is written three times: when it is there, when it is released, and when it ends. With half of each page left free
-- the new versions lie beside the old ones, and no index is written for them: docs/decisions/0025 has the figures. Pages
-- that are there already stay as they are.
alter table workflow_job set (fillfactor = 50);
