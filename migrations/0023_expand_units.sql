-- What the number in `chunks.page` counts: slides of a presentation and rows of a table are no pages.

ALTER TABLE dreamhub.chunks ADD COLUMN unit text CHECK (unit IN ('page', 'slide', 'sheet', 'row', 'line'));
COMMENT ON COLUMN dreamhub.chunks.unit IS
    'What `page` counts. NULL beside a number: a page, of a chunk stored before there were others.';
