-- What a document must have in common with those that it may be paired with: its label, or nothing at all.
CREATE MACRO pairing_label(label, same_label) AS CASE WHEN same_label THEN label::VARCHAR ELSE '' END;
