"""Networks in torch: what training needs; the tracker's hot loop evaluates them through `engines` or plain numpy."""
