"""Gradient boosting on the inputs of assets/experiments/electricity-hours.toml: the last seven days of every hour, which hour
it is and the weekday of the day to forecast; one model for all hours. Mean absolute error on the test part, with as many
trees as the validation part likes best.

usage: python3 benches/forecasting/hours.py   (needs scikit-learn and pandas)

`levels` forecasts the load, `relative` how far it is from the same hour of the day before, as the experiment does.
"""
import pathlib

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingRegressor

DAYS = 7
ROOT = pathlib.Path(__file__).resolve().parents[2]
table = pd.read_csv(ROOT / "assets/data/energy/electricity_hourly.csv", parse_dates=["date_time"])
table["day"], table["hour"] = table.date_time.dt.date.astype(str), table.date_time.dt.hour
wide = table.pivot(index="day", columns="hour", values="load_kw")
loads, days, weekdays = wide.values, wide.index.values, pd.to_datetime(wide.index).day_of_week.values
x, y, when, before = [], [], [], []
for day in range(DAYS, len(loads)):
    if np.isnan(loads[day - DAYS : day + 1]).any():
        continue
    past = loads[day - DAYS : day]
    for hour in range(24):
        x.append(np.r_[past[:, hour], past.ravel(), hour, np.eye(24)[hour], weekdays[day], np.eye(7)[weekdays[day]]])
        y.append(loads[day, hour])
        when.append(days[day])
        before.append(past[-1, hour])
x, y, when, before = map(np.array, [x, y, when, before])
train, test = when < "2014-01-01", when >= "2014-07-01"
validation = ~train & ~test
print(f"the day before: {abs(before - y)[test].mean():.1f}")
for relative in [False, True]:
    inputs = x.copy()
    inputs[:, : DAYS * 25] -= relative * before[:, None]
    wanted = y - relative * before
    for loss in ["squared_error", "absolute_error"]:
        model = HistGradientBoostingRegressor(loss=loss, max_iter=300, early_stopping=False, random_state=0)
        model.fit(inputs[train], wanted[train])
        errors = [abs(found - wanted[validation]).mean() for found in model.staged_predict(inputs[validation])]
        best = int(np.argmin(errors))
        found = list(model.staged_predict(inputs[test]))[best]
        form = "relative" if relative else "levels"
        print(f"{form}, {loss}: validation {errors[best]:.1f}, test {abs(found - wanted[test]).mean():.1f}", flush=True)
