-- The pairs of labelled documents that contrastive tuning learns from. For each that is ``drawn``: the least alike of
-- the same label, which are to come together, and the nearest of all other labels, which are to part.
-- ``documents`` has row, label, words (the text as texts are compared), drawn and embedding. One document stands for
-- all of the same label and text, the first, and none is paired with its own text. A text that is there under several
-- labels contradicts itself and takes no part.
-- Which of several equal similarities is the last of a list is the search's choice: the first row.
-- :neighbours  INTEGER  4  [1, inf)  pairs of each document, of either kind
-- :places      INTEGER  5  [2, inf)  one more, as a document may be found itself
WITH clear AS (
    SELECT min("row") AS first, words FROM documents GROUP BY words HAVING count(DISTINCT label) = 1
),
alike AS (
    SELECT
        a."row" AS anchor, o."row" AS partner, true AS same,
        array_inner_product(a.embedding, o.embedding) AS similarity
    FROM (SELECT * FROM documents WHERE drawn AND words IN (SELECT words FROM clear)) AS a
    JOIN (
        SELECT * FROM documents AS d WHERE d.label = a.label AND d."row" IN (SELECT first FROM clear)
    ) AS o EXACT NEAREST $places BY DISTANCE array_inner_product(a.embedding, o.embedding)
    WHERE o.words <> a.words
),
unlike AS (
    SELECT
        a."row" AS anchor, o."row" AS partner, false AS same,
        array_inner_product(a.embedding, o.embedding) AS similarity
    FROM (SELECT * FROM documents WHERE drawn AND words IN (SELECT words FROM clear)) AS a
    JOIN (
        SELECT * FROM documents AS d WHERE d.label <> a.label AND d."row" IN (SELECT first FROM clear)
    ) AS o EXACT NEAREST $neighbours BY SIMILARITY array_inner_product(a.embedding, o.embedding)
)
SELECT anchor, partner, same, similarity
FROM (SELECT * FROM alike UNION ALL SELECT * FROM unlike)
QUALIFY row_number() OVER (
    PARTITION BY anchor, same ORDER BY CASE WHEN same THEN similarity ELSE -similarity END, partner
) <= $neighbours
ORDER BY anchor, same, partner
