-- What is new among the documents of a label after a day: those whose nearest documents are new, too. Reads the corpus
-- 'labelled', as shift_alarm.sql does, whose quiet_until and day are since and until here. new_share is the share of
-- documents after since among the 20 nearest of the label since four weeks before; expected is their share of all.
--   curator sql -f recipes/shift_texts.sql -s label=negative -s since=2026-03-01 -s until=2026-03-08
WITH around AS (
    SELECT id, day, text, embedding, day > $since::DATE AS is_new
    FROM labelled
    WHERE label = $label AND day > $since::DATE - 28 AND day <= $until::DATE
),
near AS (
    SELECT n.id, n.day, n.text, o.id AS other, o.is_new
    FROM (SELECT * FROM around WHERE is_new) AS n
    JOIN around AS o EXACT NEAREST 21 BY SIMILARITY array_inner_product(n.embedding, o.embedding)
)
SELECT
    day,
    text,
    round(avg(is_new::INTEGER), 2) AS new_share,
    (SELECT round(avg(is_new::INTEGER), 2) FROM around) AS expected
FROM near
WHERE other <> id
GROUP BY id, day, text
ORDER BY new_share DESC, id
LIMIT 6
