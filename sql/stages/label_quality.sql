-- Drop candidates whose label is not what the other documents of their source teach, and sources whose texts do not tell
-- their labels at all. A probe is trained on other documents of the same source (cross-fitted, so that none judges
-- itself), and a document goes where another label is confident there and likelier than its own: confident learning
-- (Northcutt, Jiang and Chuang, JAIR 2021). A source goes where the whole 95 % interval of Cohen's kappa of its labels
-- and the likeliest ones is below min_reliability: labels by chance, or of another matter than the text. No target
-- document is asked, so four examples a label are as good as a thousand; whether a source's labels mean the same as the
-- target's, trust says. The score is the probability of the own label, less that of the other where there is one: a later
-- stage that cuts to a budget by score takes the plainest cases first. Documents without a label are kept.
-- :min_margin       FLOAT    0     [-1, 1]  probability of its label, less that of a likelier confident one, to reach
-- :min_reliability  FLOAT    0.1   [0, 1]  kappa that a source's labels have to reach: 0 is chance, 1 all foretold
-- :folds            INTEGER  5     [2, inf)  parts of a source, each judged by what the others teach
-- :sample           INTEGER  5000  [2, inf)  documents of a source that a probe is trained on
-- :c                FLOAT    100   (0, inf)  inverse of the strength of the penalty on the probe's weights
-- :seed             INTEGER  0     draws the sample
WITH judged AS (
    SELECT
        *,
        self_confidence - coalesce(other_confidence, 0) AS margin,
        $min_reliability - coalesce(high - reliability, 0) AS least
    FROM label_quality('candidates', folds := $folds, sample := $sample, c := $c, seed := $seed)
),
decided AS (
    SELECT
        *,
        coalesce(reliability < least, false) AS is_unreliable,
        coalesce(margin < $min_margin, false) AS is_doubtful
    FROM judged
)
SELECT
    c.corpus,
    c.id,
    c.label IS NULL OR NOT (d.is_unreliable OR d.is_doubtful) AS keep,
    CASE
        WHEN c.label IS NULL THEN NULL
        WHEN d.is_unreliable THEN 'labels by chance in source ' || d.source
        WHEN d.is_doubtful AND d.other IS NOT NULL THEN 'its source says ' || d.other
        WHEN d.is_doubtful THEN 'label not confident'
    END AS rule,
    CASE WHEN c.label IS NULL THEN NULL WHEN d.is_unreliable THEN d.reliability ELSE d.margin END AS score,
    CASE WHEN c.label IS NULL THEN NULL WHEN d.is_unreliable THEN d.least WHEN d.margin IS NOT NULL THEN $min_margin END
        AS threshold,
    CASE
        WHEN c.label IS NULL THEN 'it has no label'
        WHEN d.is_unreliable THEN NULL
        WHEN d.margin IS NULL THEN 'no other text of its source has its label, or all have it'
    END AS reason
FROM candidates AS c
JOIN decided AS d ON d.corpus = c.corpus AND d.id = c.id
